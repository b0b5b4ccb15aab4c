//! Lists: what is tried of them.

use crate::commands::Syntax;

#[rustfmt::skip]
pub(crate) const LISTS: &[Syntax] = &[
    (10, "LPUSH <key> <element>+"),
    (14, "RPUSH <key> <element> <element> <element> <element>+"),
    (2, "LPUSHX <key> <element>+"),
    (2, "RPUSHX <key> <element>+"),
    (4, "LPOP <key> [ <count> ]"),
    (4, "RPOP <key> [ <count> ]"),
    (2, "LMPOP ( 1 <key> | 2 <key> <key> | <rank> <key> ) ( LEFT | RIGHT | <any> ) [ COUNT <count> ]"),
    (2, "LLEN <key>"),
    (4, "LINDEX <key> <rank>"),
    (4, "LSET <key> <rank> <element>"),
    (4, "LINSERT <key> ( BEFORE | AFTER | <any> ) <element> <element>"),
    (8, "LRANGE <key> <rank> <rank>"),
    (2, "LRANGE <key> 0 -1"),
    (2, "LTRIM <key> <rank> <rank>"),
    (3, "LREM <key> <rank> <element>"),
    (4, "LPOS <key> <element> [ RANK <rank> ] [ COUNT <count> ] [ MAXLEN <count> ]"),
    (4, "LMOVE <key> <key> ( LEFT | RIGHT ) ( LEFT | RIGHT | <any> )"),
    (3, "RPOPLPUSH <key> <key>"),
];
