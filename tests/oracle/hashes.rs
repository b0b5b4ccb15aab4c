//! Hashes: what is tried of them, among keys of other types.

use crate::commands::Syntax;

#[rustfmt::skip]
pub(crate) const HASHES: &[Syntax] = &[
    (16, "HSET <key> <field> <value> [ <field> <value> ] [ <field> <value> ] [ <field> <value> ]"),
    (4, "HSET <key> <field> <value> <field> <value> <field> <value> <field> <value> <field> <value> <field> <value> <field> <value>"),
    (1, "HSET <key> <field> <any>+"),
    (3, "HSETNX <key> <field> <value>"),
    (2, "HMSET <key> <field> <value> [ <field> <value> ]"),
    (5, "HGET <key> <field>"),
    (3, "HMGET <key> <field>+"),
    (5, "HGETALL <key>"),
    (2, "HKEYS <key>"),
    (2, "HVALS <key>"),
    (2, "HLEN <key>"),
    (2, "HSTRLEN <key> <field>"),
    (2, "HEXISTS <key> <field>"),
    (6, "HDEL <key> <field>+"),
    (3, "HINCRBY <key> <field> <int>"),
    (3, "HINCRBYFLOAT <key> <field> <float>"),
    (3, "HRANDFIELD <key> [ <count> [ WITHVALUES ] ]"),
    (1, "HRANDFIELD <key> <rank> [ WITHVALUES | <any> ]"),
    (3, "HSCAN <key> 0 [ MATCH <fieldpattern> ] [ COUNT <count> ]"),
    (1, "HSCAN <key> ( abc | <any> ) [ COUNT <any> ]"),
    (1, "HSCAN <key> 0 <any>+"),
    (2, "OBJECT ENCODING <key>"),
    // Others.
    (1, "SADD <key> 1 2"),
    (1, "SMEMBERS <key>"),
];
