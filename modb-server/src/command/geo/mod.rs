//! Places: sorted sets whose scores are geohashes. What searches them is in [`search`], the geometry in [`cells`].

mod cells;
mod search;

use modb_net::resp::Args;

use self::cells::{LATITUDES, LONGITUDES, Place};
use crate::command::language::error::err;
use crate::command::language::parse::{double_or, is};
use crate::command::machine::spec::{Access, Find, Flags, KeySpec, Spec, key};
use crate::command::sorted_sets::{How, put_all};
use crate::command::{CommandError, Ctx, Reply};
use crate::data::SortedSet;
use crate::data::long_double::LongDouble;

const READ: &[Flags] = &[Flags::READONLY, Flags::MANY_RECORDS];
const ONE_READ: &[KeySpec] = &[key(Access::Read, 1)];
const RADIUS: &[Flags] = &[Flags::WRITE, Flags::DENYOOM, Flags::MOVABLEKEYS];

/// The key behind a word.
const fn stored(words: &'static [&'static str]) -> KeySpec {
    KeySpec { access: Access::Overwrite, find: Find::Behind { first: 5, words, passed: &[] } }
}

const RADIUS_KEYS: &[KeySpec] = &[key(Access::Read, 1), stored(&["store"]), stored(&["storedist"])];

#[rustfmt::skip]
pub(super) static COMMANDS: [Spec; 10] = [
    Spec::new("geo", "geoadd", geoadd, -5).weighed().flags(&[Flags::WRITE, Flags::DENYOOM]).keys(&[key(Access::Change, 1)])
        .docs("key [NX|XX] [CH] (longitude latitude member)...", "3.2.0", "O(log(N)) for each of the places", "Adds places."),
    Spec::new("geo", "geodist", geodist, -4).flags(READ).keys(ONE_READ)
        .docs("key member1 member2 [M|KM|FT|MI]", "3.2.0", "O(1)", "Returns how far two places are from each other."),
    Spec::new("geo", "geohash", geohash, -2).weighed().flags(READ).keys(ONE_READ)
        .docs("key [member...]", "3.2.0", "O(1) for each member", "Returns places as text that other programs read."),
    Spec::new("geo", "geopos", geopos, -2).weighed().flags(READ).keys(ONE_READ)
        .docs("key [member...]", "3.2.0", "O(1) for each member", "Returns longitudes and latitudes."),
    Spec::new("geo", "geosearch", search::geosearch, -7).weighed().flags(READ).keys(ONE_READ)
        .docs("key <FROMMEMBER member|FROMLONLAT longitude latitude> <BYRADIUS radius M|KM|FT|MI|BYBOX width height M|KM|FT|MI> [ASC|DESC] [COUNT count [ANY]] [WITHCOORD] [WITHDIST] [WITHHASH]",
            "6.2.0", "O(N+log(M)) with N places in the cells that cover the area", "Returns the places in a circle or a box."),
    Spec::new("geo", "geosearchstore", search::geosearchstore, -8).weighed().flags(&[Flags::WRITE, Flags::DENYOOM]).keys(&[key(Access::Overwrite, 1), key(Access::Read, 2)])
        .docs("destination source <FROMMEMBER member|FROMLONLAT longitude latitude> <BYRADIUS radius M|KM|FT|MI|BYBOX width height M|KM|FT|MI> [ASC|DESC] [COUNT count [ANY]] [STOREDIST]",
            "6.2.0", "O(N+log(M)) with N places in the cells that cover the area", "Stores the places in a circle or a box."),
    Spec::new("geo", "georadius", search::georadius, -6).weighed().flags(RADIUS).keys(RADIUS_KEYS)
        .docs("key longitude latitude radius M|KM|FT|MI [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC|DESC] [STORE key] [STOREDIST key]",
            "3.2.0", "O(N+log(M)) with N places in the cells that cover the area", "Returns or stores the places in a circle around a place (an older form of GEOSEARCH)."),
    Spec::new("geo", "georadius_ro", search::georadius_ro, -6).weighed().flags(READ).keys(ONE_READ)
        .docs("key longitude latitude radius M|KM|FT|MI [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC|DESC]",
            "3.2.10", "O(N+log(M)) with N places in the cells that cover the area", "Returns the places in a circle around a place."),
    Spec::new("geo", "georadiusbymember", search::georadiusbymember, -5).weighed().flags(RADIUS).keys(RADIUS_KEYS)
        .docs("key member radius M|KM|FT|MI [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC|DESC] [STORE key] [STOREDIST key]",
            "3.2.0", "O(N+log(M)) with N places in the cells that cover the area", "Returns or stores the places in a circle around a member (an older form of GEOSEARCH)."),
    Spec::new("geo", "georadiusbymember_ro", search::georadiusbymember_ro, -5).weighed().flags(READ).keys(ONE_READ)
        .docs("key member radius M|KM|FT|MI [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC|DESC]",
            "3.2.10", "O(N+log(M)) with N places in the cells that cover the area", "Returns the places in a circle around a member."),
];

/// Longitude and latitude at argument `at` and behind it.
fn place_at(args: Args<'_>, at: usize) -> Result<Place, CommandError> {
    let number = |at: usize| double_or(&args[at], "ERR value is not a valid float");
    let place = Place { longitude: number(at)?, latitude: number(at + 1)? };
    let is_in = |value: f64, (min, max): (f64, f64)| value >= min && value <= max;
    if !is_in(place.longitude, LONGITUDES) || !is_in(place.latitude, LATITUDES) {
        let Place { longitude, latitude } = place;
        return Err(format!("ERR invalid longitude,latitude pair {longitude:.6},{latitude:.6}").into());
    }
    Ok(place)
}

/// How many metres a unit has.
fn unit(word: &[u8]) -> Result<f64, CommandError> {
    const UNITS: [(&str, f64); 4] = [("m", 1.0), ("km", 1000.0), ("ft", 0.3048), ("mi", 1609.34)];
    match UNITS.iter().find(|(name, _)| is(word, name)) {
        Some((_, metres)) => Ok(*metres),
        None => err("ERR unsupported unit provided. please use M, KM, FT, MI"),
    }
}

fn distance_text(distance: f64) -> Reply {
    Reply::string(format!("{distance:.4}"))
}

fn coordinates(place: Place) -> Reply {
    let text = |number: f64| Reply::Digits(LongDouble::from(number).print());
    Reply::Array(vec![text(place.longitude), text(place.latitude)])
}

fn geoadd(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let (mut how, mut first) = (How::default(), 2);
    while let Some(word) = args.get(first) {
        match word {
            word if is(word, "nx") => how.only_new = true,
            word if is(word, "xx") => how.only_known = true,
            word if is(word, "ch") => how.changed = true,
            _ => break,
        }
        first += 1;
    }
    let left = args.len() - first;
    if left == 0 || !left.is_multiple_of(3) || how.only_new && how.only_known {
        return Err(CommandError::Syntax);
    }
    let pair = |at: usize| Ok((place_at(args, at)?.score(), &args[at + 2]));
    let pairs = (first..args.len()).step_by(3).map(pair).collect::<Result<Vec<_>, CommandError>>()?;
    put_all(ctx, &args[1], &pairs, how)
}

fn find<'k>(ctx: &mut Ctx<'_, '_>, key: &'k [u8]) -> Result<Option<SortedSet<'k>>, CommandError> {
    let db = ctx.db();
    Ok(SortedSet::find(ctx.tx, db, key)?)
}

fn place_of(
    ctx: &mut Ctx<'_, '_>,
    set: &mut SortedSet<'_>,
    member: &[u8],
) -> Result<Option<Place>, CommandError> {
    Ok(set.score(ctx.tx, member)?.map(Place::of_score))
}

fn geodist(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let metres = match args.len() {
        4 => 1.0,
        5 => unit(&args[4])?,
        _ => return Err(CommandError::Syntax),
    };
    let Some(mut set) = find(ctx, &args[1])? else { return Ok(Reply::Null) };
    let (a, b) = (place_of(ctx, &mut set, &args[2])?, place_of(ctx, &mut set, &args[3])?);
    Ok(a.zip(b).map_or(Reply::Null, |(a, b)| distance_text(a.distance_m(b) / metres)))
}

fn each_place(
    ctx: &mut Ctx<'_, '_>,
    args: Args<'_>,
    none: &Reply,
    show: impl Fn(Place) -> Reply,
) -> Result<Reply, CommandError> {
    let mut set = find(ctx, &args[1])?;
    let mut shown = Vec::with_capacity(args.len() - 2);
    for member in args.iter().skip(2) {
        let place = match &mut set {
            Some(set) => place_of(ctx, set, member)?,
            None => None,
        };
        shown.push(place.map_or_else(|| none.clone(), &show));
    }
    Ok(Reply::Array(shown))
}

fn geohash(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    each_place(ctx, args, &Reply::Null, |place| Reply::string(place.text()))
}

fn geopos(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    each_place(ctx, args, &Reply::NullArray, coordinates)
}

#[cfg(test)]
mod tests {
    use crate::command::testing::run;

    // The expected replies are those of Redis 7.0.15.
    run! {
        places_are_scores {
            "GEOADD Sicily 13.361389 38.115556 Palermo 15.087269 37.502669 Catania" => ":2", "GEODIST Sicily Palermo Catania" => "166274.1516", "GEODIST Sicily Palermo Catania KM" => "166.2742",
            "GEODIST Sicily Palermo Catania mi" => "103.3182", "GEODIST Sicily Palermo none" => "nil", "GEODIST none a b" => "nil", "GEODIST Sicily Palermo Catania x" => "-ERR unsupported unit provided. please use M, KM, FT, MI",
            "GEOHASH Sicily Palermo none Catania" => "[sqc8b49rny0 nil sqdtr74hyu0]", "GEOPOS Sicily Palermo none" => "[[13.36138933897018433 38.11555639549629859] nil]", "ZSCORE Sicily Palermo" => "3479099956230698",
            "GEOADD Sicily 181 1 a" => "-ERR invalid longitude,latitude pair 181.000000,1.000000", "GEOADD Sicily x 1 a" => "-ERR value is not a valid float", "GEOADD Sicily 1 1" => "-ERR wrong number of arguments for 'geoadd' command",
            "GEOADD Sicily NX XX 1 1 a" => "-ERR syntax error", "GEOADD Sicily NX CH 1 1 Palermo" => ":0", "GEOADD Sicily CH 1 1 Palermo" => ":1", "GEOADD Sicily 1 1 a b" => "-ERR syntax error", "TYPE Sicily" => "+zset"
        }
        areas_are_searched {
            "GEOADD g 13.361389 38.115556 P 15.087269 37.502669 C 13.583333 37.316667 A 12.758489 38.788135 e1 17.241510 38.788135 e2" => ":5",
            "GEOSEARCH g FROMLONLAT 15 37 BYBOX 400 400 km ASC WITHDIST" => "[[C 56.4413] [A 130.4235] [P 190.4424] [e2 279.7403] [e1 279.7405]]",
            "GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 200 km ASC" => "[C A P]", "GEOSEARCH g FROMMEMBER C BYRADIUS 0 m" => "[C]", "GEORADIUS g 15 37 200 km DESC COUNT 1 WITHHASH" => "[[P :3479099956230698]]",
            "GEORADIUSBYMEMBER g A 100 km WITHCOORD" => "[[A [13.5833314061164856 37.31666804993816555]] [P [13.36138933897018433 38.11555639549629859]]]", "GEOSEARCH g FROMLONLAT 0 0 BYRADIUS 1 km" => "[]",
            "GEOSEARCHSTORE d g FROMLONLAT 15 37 BYRADIUS 200 km" => ":3", "ZRANGE d 0 -1" => "[A P C]", "GEOSEARCHSTORE d g FROMLONLAT 15 37 BYRADIUS 200 km COUNT 1 STOREDIST" => ":1", "ZRANGE d 0 -1" => "[C]",
            "GEORADIUS g 15 37 200 km STORE d" => ":3", "GEORADIUS g 0 0 1 m STOREDIST d" => ":0", "EXISTS d" => ":0", "GEOADD e -0.1 -25.6 m" => ":1", "GEORADIUS e 180 0 17174 km" => "[]", "COMMAND GETKEYS GEORADIUS g 15 37 200 km STORE d" => "[g d]"
        }
        searches_are_checked {
            "GEOSEARCH g FROMMEMBER a BYRADIUS 1 m BYBOX 1 1 m" => "-ERR syntax error", "GEOSEARCH g BYRADIUS 1 m ASC WITHDIST" => "-ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for GEOSEARCH",
            "GEOSEARCH g FROMLONLAT 1 1 ASC ASC" => "-ERR exactly one of BYRADIUS and BYBOX can be specified for GEOSEARCH", "GEORADIUS g 1 1 1 m ANY" => "-ERR the ANY argument requires COUNT argument",
            "GEORADIUS g 1 1 1 m COUNT 0" => "-ERR COUNT must be > 0", "GEORADIUS g 1 1 x m" => "-ERR need numeric radius", "GEORADIUS g 1 1 -1 m" => "-ERR radius cannot be negative", "GEORADIUS_RO g 1 1 1 m STORE d" => "-ERR syntax error",
            "GEORADIUS g 1 1 1 m WITHDIST STORE d" => "-ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and WITHCOORD options", "GEOSEARCH g FROMLONLAT 1 1 BYBOX 1 -1 m" => "-ERR height or width cannot be negative",
            "GEORADIUSBYMEMBER g a 1 m" => "[]", "GEOADD g 1 1 a" => ":1", "GEORADIUSBYMEMBER g b 1 m" => "-ERR could not decode requested zset member", "SET s 1" => "+OK", "GEORADIUS s x" => "-ERR wrong number of arguments for 'georadius' command",
            "GEORADIUS s 1 1 x m" => "-WRONGTYPE Operation against a key holding the wrong kind of value"
        }
    }
}
