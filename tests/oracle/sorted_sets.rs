//! Sorted sets: what is tried of them.

use crate::commands::Syntax;

/// The key whose members have one score, as ranges of members want it.
pub(crate) const ONE_SCORE: &[u8] = b"zlex";

#[rustfmt::skip]
pub(crate) const SORTED_SETS: &[Syntax] = &[
    (20, "ZADD <key> <score> <member> [ <score> <member> ] [ <score> <member> ] [ <score> <member> ]"),
    (6, "ZADD <key> [ NX | XX | GT | LT ] [ CH ] [ INCR ] <score> <member> [ <score> <member> ]"),
    (2, "ZADD <key> [ NX | XX | GT | LT | <any> ] [ XX | GT | LT ] [ CH ] <score> <member>"),
    (4, "ZINCRBY <key> <score> <member>"),
    (4, "ZREM <key> <member>+"),
    (2, "ZCARD <key>"),
    (3, "ZSCORE <key> <member>"),
    (2, "ZMSCORE <key> <member>+"),
    (3, "ZRANK <key> <member>"),
    (3, "ZREVRANK <key> <member>"),
    (3, "ZCOUNT <key> <edge> <edge>"),
    (2, "ZLEXCOUNT zlex <place> <place>"),
    (4, "ZADD zlex 0 <member> 0 <member> 0 <member>"),
    (1, "ZREM zlex <member>+"),
    (6, "ZRANGE <key> <rank> <rank> [ REV ] [ WITHSCORES ]"),
    (4, "ZRANGE <key> <edge> <edge> BYSCORE [ REV ] [ LIMIT <rank> <rank> ] [ WITHSCORES ]"),
    (3, "ZRANGE zlex <place> <place> BYLEX [ REV ] [ LIMIT <rank> <rank> ]"),
    (1, "ZRANGE <key> <rank> <rank> [ BYSCORE | BYLEX ] [ REV ] [ LIMIT <rank> <rank> ] [ WITHSCORES ] [ <any> ]"),
    (2, "ZREVRANGE <key> <rank> <rank> [ WITHSCORES ]"),
    (3, "ZRANGEBYSCORE <key> <edge> <edge> [ WITHSCORES ] [ LIMIT <rank> <rank> ]"),
    (3, "ZREVRANGEBYSCORE <key> <edge> <edge> [ WITHSCORES ] [ LIMIT <rank> <rank> ]"),
    (2, "ZRANGEBYLEX zlex <place> <place> [ LIMIT <rank> <rank> ]"),
    (2, "ZREVRANGEBYLEX zlex <place> <place> [ LIMIT <rank> <rank> ]"),
    (2, "ZRANGESTORE <key> <key> <rank> <rank> [ REV ]"),
    (2, "ZRANGESTORE <key> <key> <edge> <edge> BYSCORE [ REV ] [ LIMIT <rank> <rank> ]"),
    (2, "ZREMRANGEBYRANK <key> <rank> <rank>"),
    (2, "ZREMRANGEBYSCORE <key> <edge> <edge>"),
    (1, "ZREMRANGEBYLEX zlex <place> <place>"),
    (3, "ZPOPMIN <key> [ <count> ]"),
    (3, "ZPOPMAX <key> [ <count> ]"),
    (2, "ZMPOP ( 1 <key> | 2 <key> <key> | <rank> <key> ) ( MIN | MAX | <any> ) [ COUNT <count> ]"),
    (1, "ZRANDMEMBER none [ <rank> ]"),
    (2, "ZUNION 2 <key> <key> [ WEIGHTS <weight> <weight> ] [ AGGREGATE ( SUM | MIN | MAX ) ] [ WITHSCORES ]"),
    (2, "ZINTER 2 <key> <key> [ WEIGHTS <weight> <weight> ] [ AGGREGATE ( SUM | MIN | MAX ) ] [ WITHSCORES ]"),
    (2, "ZDIFF ( 1 <key> | 2 <key> <key> | 3 <key> <key> <key> ) [ WITHSCORES ]"),
    (2, "ZINTERCARD ( 1 <key> | 2 <key> <key> | <rank> <key> ) [ LIMIT <count> ]"),
    (2, "ZUNIONSTORE <key> 2 <key> <key> [ WEIGHTS <weight> <weight> ] [ AGGREGATE ( SUM | MIN | MAX ) ]"),
    (2, "ZINTERSTORE <key> 2 <key> <key> [ WEIGHTS <weight> <weight> ] [ AGGREGATE ( SUM | MIN | MAX ) ]"),
    (2, "ZDIFFSTORE <key> ( 1 <key> | 2 <key> <key> | 0 | 5 <key> )"),
];
