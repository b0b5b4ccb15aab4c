//! What works on several types, or is a string of a form of its own: sorting, HyperLogLogs, places.

use crate::commands::Syntax;

#[rustfmt::skip]
pub(crate) const SORTED: &[Syntax] = &[
    // Without two of the same weight: which of them comes first is nobody's promise.
    (6, "SORT <key> [ LIMIT <rank> <rank> ] [ ASC | DESC ] [ GET # ] [ GET k* ]"),
    (4, "SORT <key> ALPHA [ LIMIT <rank> <rank> ] [ ASC | DESC ]"),
    (3, "SORT <key> BY w* [ LIMIT <rank> <rank> ] [ DESC ] [ GET # ] [ GET h*->f ] [ GET w* ] [ GET nothing ]"),
    (3, "SORT <key> BY h*->f [ DESC ]"),
    (3, "SORT l BY nosort [ DESC ] [ LIMIT <rank> <rank> ]"),
    (3, "SORT z BY nosort [ DESC ] [ LIMIT <rank> <rank> ]"),
    (3, "SORT <key> [ BY w* | BY h*->f | ALPHA ] [ LIMIT <rank> <rank> ] [ GET # ] [ GET w* ] STORE <key>"),
    (2, "SORT s BY nosort STORE <key>"),
    (2, "SORT_RO <key> [ ALPHA ] [ DESC ] [ STORE <key> ]"),
    (1, "SORT <key> <any>+"),
    (1, "SORT <key> LIMIT <any> <rank>"),
    (1, "COMMAND GETKEYS SORT <key> [ BY <any> ] [ GET store ] [ STORE <key> ] [ STORE <key> ] [ LIMIT 0 ]"),
    (8, "RPUSH <key> <weight> <weight> <weight>"),
    (4, "RPUSH l <weight> <weight>"),
    (4, "SADD <key> <integer> <integer> <integer>"),
    (2, "SADD s <element> <element> <element>"),
    (4, "ZADD <key> <weight> <integer> <weight> <integer>"),
    (3, "ZADD z <weight> <element> <weight> <element>"),
    (4, "SET w1 <weight>"),
    (4, "MSET w2 <weight> w-3 <weight> w0.5 <weight> w3 <weight> w7 <weight>"),
    (2, "HSET h1 f <weight> g x"),
    (2, "HSET h2 f <weight>"),
    (2, "LRANGE <key> 0 -1"),
    (1, "LTRIM <key> 0 20"),
];

#[rustfmt::skip]
pub(crate) const HYPERLOGLOGS: &[Syntax] = &[
    (12, "PFADD <key> <member>+"),
    (6, "PFADD <key> <value> <value> <value> <value> <value> <value> <value> <value> <value>"),
    (1, "PFADD <key>"),
    (4, "PFCOUNT <key>"),
    (3, "PFCOUNT <key>+"),
    (4, "PFMERGE <key> <key>+"),
    (1, "PFMERGE <key>"),
    (6, "GET <key>"),
    (2, "STRLEN <key>"),
    // What is kept of the estimate; more damage leads Redis behind the end of the string.
    (1, "SETRANGE <key> 8 <bit>"),
    (1, "SETRANGE <key> 4 <bit>"),
    (1, "LPUSH <key> <element>"),
];

/// Circles and boxes are compared nearest first: what is not sorted comes in the order of cells, and which of the same distance comes
/// first is nobody's promise.
#[rustfmt::skip]
pub(crate) const PLACES: &[Syntax] = &[
    (12, "GEOADD <key> <longitude> <latitude> <member> [ <longitude> <latitude> <member> ] [ <longitude> <latitude> <member> ]"),
    (3, "GEOADD <key> [ NX | XX ] [ CH ] <longitude> <latitude> <member>"),
    (1, "GEOADD <key> <any>+ <longitude> <latitude> <member>"),
    (4, "GEODIST <key> <member> <member> [ m | km | ft | mi | <any> ]"),
    (3, "GEOHASH <key> <member>+"),
    (4, "GEOPOS <key> <member>+"),
    (8, "GEOSEARCH <key> ( FROMLONLAT <longitude> <latitude> | FROMMEMBER <member> ) ( BYRADIUS <distance> km | BYBOX <distance> <distance> km ) ASC [ WITHCOORD ] [ WITHDIST ] [ WITHHASH ]"),
    (3, "GEOSEARCH <key> FROMLONLAT <longitude> <latitude> BYRADIUS <distance> mi COUNT <count> [ DESC ] WITHDIST"),
    (2, "GEOSEARCH <key> [ FROMLONLAT <longitude> <latitude> ] [ FROMMEMBER <member> ] [ BYRADIUS <distance> m ] [ BYBOX <distance> <distance> ft ] [ <any> ] [ ANY ] ASC"),
    (3, "GEOSEARCHSTORE <key> <key> FROMLONLAT <longitude> <latitude> BYBOX <distance> <distance> km [ STOREDIST ]"),
    (3, "GEORADIUS <key> <longitude> <latitude> <distance> km ASC [ WITHDIST ] [ WITHCOORD ] [ COUNT <count> ] [ STORE <key> ]"),
    (2, "GEORADIUS <key> <longitude> <latitude> <distance> km STOREDIST <key>"),
    (2, "GEORADIUSBYMEMBER <key> <member> <distance> ( km | <any> ) ASC"),
    (1, "GEORADIUS_RO <key> <longitude> <latitude> <distance> km DESC [ STORE <key> ]"),
    (1, "GEORADIUSBYMEMBER_RO <key> <member> <distance> km DESC WITHHASH"),
    (3, "ZRANGE <key> 0 -1"),
    (2, "ZREM <key> <member>+"),
    (1, "COMMAND GETKEYS GEORADIUS <key> 1 1 1 m [ STORE <key> ] [ STOREDIST <key> ]"),
];
