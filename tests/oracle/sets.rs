//! Sets: what is tried of them, among keys of other types.

use crate::commands::Syntax;

#[rustfmt::skip]
pub(crate) const SETS: &[Syntax] = &[
    (10, "SADD <key> <member> [ <member> ] [ <member> ] [ <member> ]"),
    (6, "SADD <key> <member> <member> <member> <member> <member> <member> <member> <member>"),
    // Such as Redis keeps as integers.
    (10, "SADD <key> <integer> [ <integer> ] [ <integer> ] [ <integer> ] [ <integer> ] [ <integer> ]"),
    (6, "SREM <key> <member>+"),
    (4, "SREM <key> <integer>+"),
    (3, "SMOVE <key> <key> <member>"),
    (3, "SMOVE <key> <key> <integer>"),
    (3, "SISMEMBER <key> <member>"),
    (2, "SMISMEMBER <key> <member>+"),
    (2, "SCARD <key>"),
    (5, "SMEMBERS <key>"),
    (4, "SPOP <key>"),
    (3, "SPOP <key> <count>"),
    (1, "SPOP <key> <rank> [ <any> ]"),
    (2, "SRANDMEMBER <key> [ <count> ]"),
    (1, "SRANDMEMBER <key> <rank> [ <any> ]"),
    (3, "SINTER <key>+"),
    (3, "SUNION <key>+"),
    (3, "SDIFF <key>+"),
    (3, "SINTERSTORE <key> <key>+"),
    (3, "SUNIONSTORE <key> <key>+"),
    (4, "SDIFFSTORE <key> <key>+"),
    (3, "SINTERCARD ( 1 <key> | 2 <key> <key> | 3 <key> <key> <key> | <rank> <key> ) [ LIMIT <count> ]"),
    (1, "SINTERCARD 1 <key> <any>+"),
    (3, "SSCAN <key> 0 [ MATCH <fieldpattern> ] [ COUNT <count> ]"),
    (1, "SSCAN <key> ( abc | <any> ) [ COUNT <any> ]"),
    (1, "SSCAN <key> 0 <any>+"),
    (3, "OBJECT ENCODING <key>"),
    // Others.
    (1, "HSET <key> a 1"),
    (1, "HGETALL <key>"),
];
