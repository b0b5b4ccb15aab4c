//! The places in a circle or a box, as a reply or stored as another sorted set.

use bytes::Bytes;
use modb_net::resp::Args;

use super::cells::{Area, Place, Shape};
use super::{coordinates, distance_text, find, place_at, place_of, unit};
use crate::command::language::error::err;
use crate::command::language::packed::TOO_LARGE;
use crate::command::language::parse::{Options, double_or, int, is};
use crate::command::language::reply::MAX_REPLY_BYTES;
use crate::command::sorted_sets::store;
use crate::command::{CommandError, Ctx, Reply};
use crate::data::{ScoreBounds, ScoreEdge, SortedSet};

/// Which command asks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `GEORADIUS`, `GEORADIUSBYMEMBER`, and their forms that store nothing.
    Around {
        member: bool,
        may_store: bool,
    },
    Search,
    SearchStore,
}

pub(super) fn geosearch(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    run(ctx, args, Form::Search)
}

pub(super) fn geosearchstore(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    run(ctx, args, Form::SearchStore)
}

pub(super) fn georadius(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    run(ctx, args, Form::Around { member: false, may_store: true })
}

pub(super) fn georadius_ro(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    run(ctx, args, Form::Around { member: false, may_store: false })
}

pub(super) fn georadiusbymember(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    run(ctx, args, Form::Around { member: true, may_store: true })
}

pub(super) fn georadiusbymember_ro(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    run(ctx, args, Form::Around { member: true, may_store: false })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    None,
    Nearest,
    Farthest,
}

/// What is asked for.
struct Asked<'a> {
    /// `None`: there is a member to search around, and no key.
    middle: Option<Option<Place>>,
    shape: Option<Shape>,
    /// Of the unit in which distances are told.
    metres: f64,
    order: Order,
    count: Option<u64>,
    any: bool,
    with_distance: bool,
    with_hash: bool,
    with_place: bool,
    store: Option<&'a [u8]>,
    store_distance: bool,
}

fn radius(word: &[u8], unit_word: &[u8]) -> Result<(Shape, f64), CommandError> {
    let radius = double_or(word, "ERR need numeric radius")?;
    if radius < 0.0 {
        return err("ERR radius cannot be negative");
    }
    let metres = unit(unit_word)?;
    Ok((Shape::Circle { radius_m: radius * metres }, metres))
}

fn sides(width: &[u8], height: &[u8], unit_word: &[u8]) -> Result<(Shape, f64), CommandError> {
    let (width, height) =
        (double_or(width, "ERR need numeric width")?, double_or(height, "ERR need numeric height")?);
    if width < 0.0 || height < 0.0 {
        return err("ERR height or width cannot be negative");
    }
    let metres = unit(unit_word)?;
    Ok((Shape::Box { width_m: width * metres, height_m: height * metres }, metres))
}

fn member_place(
    ctx: &mut Ctx<'_, '_>,
    set: &mut Option<SortedSet<'_>>,
    member: &[u8],
) -> Result<Option<Place>, CommandError> {
    let Some(set) = set else { return Ok(None) };
    match place_of(ctx, set, member)? {
        None => err("ERR could not decode requested zset member"),
        place => Ok(place),
    }
}

fn parse<'a>(
    ctx: &mut Ctx<'_, '_>,
    args: Args<'a>,
    form: Form,
    set: &mut Option<SortedSet<'_>>,
) -> Result<Asked<'a>, CommandError> {
    let mut asked = Asked {
        middle: None,
        shape: None,
        metres: 1.0,
        order: Order::None,
        count: None,
        any: false,
        with_distance: false,
        with_hash: false,
        with_place: false,
        store: None,
        store_distance: false,
    };
    let (mut shaped, searches) = (None, form == Form::Search || form == Form::SearchStore);
    let first = match form {
        Form::Around { member: false, .. } => {
            asked.middle = Some(Some(place_at(args, 2)?));
            shaped = Some(radius(&args[4], &args[5])?);
            6
        }
        Form::Around { member: true, .. } => {
            asked.middle = Some(member_place(ctx, set, &args[2])?);
            // Without a key nobody looks at it.
            if set.is_some() {
                shaped = Some(radius(&args[3], &args[4])?);
            }
            5
        }
        Form::Search => 2,
        Form::SearchStore => {
            asked.store = args.get(1);
            3
        }
    };
    let may_store = matches!(form, Form::Around { may_store: true, .. });
    let (mut from_member, mut is_circle) = (false, false);
    let mut options = Options::from(args, first);
    while let Some(word) = options.next() {
        match word {
            word if is(word, "withdist") => asked.with_distance = true,
            word if is(word, "withhash") => asked.with_hash = true,
            word if is(word, "withcoord") => asked.with_place = true,
            word if is(word, "any") => asked.any = true,
            word if is(word, "asc") => asked.order = Order::Nearest,
            word if is(word, "desc") => asked.order = Order::Farthest,
            word if is(word, "count") && options.left() >= 1 => {
                let count = u64::try_from(int(options.value()?)?).unwrap_or(0);
                if count == 0 {
                    return err("ERR COUNT must be > 0");
                }
                asked.count = Some(count);
            }
            word if may_store && is(word, "store") && options.left() >= 1 => {
                (asked.store, asked.store_distance) = (Some(options.value()?), false);
            }
            word if may_store && is(word, "storedist") && options.left() >= 1 => {
                (asked.store, asked.store_distance) = (Some(options.value()?), true);
            }
            word if form == Form::SearchStore && is(word, "storedist") => asked.store_distance = true,
            word if searches
                && is(word, "frommember")
                && options.left() >= 1
                && (asked.middle.is_none() || from_member) =>
            {
                asked.middle = Some(member_place(ctx, set, options.value()?)?);
                from_member = true;
            }
            word if searches && is(word, "fromlonlat") && options.left() >= 2 && !from_member => {
                let at = args.len() - options.left();
                asked.middle = Some(Some(place_at(args, at)?));
                options.value()?;
                options.value()?;
            }
            word if searches
                && is(word, "byradius")
                && options.left() >= 2
                && (shaped.is_none() || is_circle) =>
            {
                shaped = Some(radius(options.value()?, options.value()?)?);
                is_circle = true;
            }
            word if searches && is(word, "bybox") && options.left() >= 3 && !is_circle => {
                shaped = Some(sides(options.value()?, options.value()?, options.value()?)?);
            }
            _ => return Err(CommandError::Syntax),
        }
    }
    if let Some((shape, metres)) = shaped {
        (asked.shape, asked.metres) = (Some(shape), metres);
    }
    check(&asked, args, searches)?;
    Ok(asked)
}

fn check(asked: &Asked<'_>, args: Args<'_>, searches: bool) -> Result<(), CommandError> {
    let shows = asked.with_distance || asked.with_hash || asked.with_place;
    if asked.store.is_some() && shows {
        let who = if searches { "GEOSEARCHSTORE" } else { "STORE option in GEORADIUS" };
        return Err(
            format!("ERR {who} is not compatible with WITHDIST, WITHHASH and WITHCOORD options").into()
        );
    }
    let name = || String::from_utf8_lossy(&args[0]).into_owned();
    if searches && asked.middle.is_none() {
        let text = format!("ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for {}", name());
        return Err(text.into());
    }
    if searches && asked.shape.is_none() {
        return Err(format!("ERR exactly one of BYRADIUS and BYBOX can be specified for {}", name()).into());
    }
    if asked.any && asked.count.is_none() {
        return err("ERR the ANY argument requires COUNT argument");
    }
    Ok(())
}

/// A place that was found.
struct Found {
    member: Bytes,
    score: f64,
    distance_m: f64,
}

fn run(ctx: &mut Ctx<'_, '_>, args: Args<'_>, form: Form) -> Result<Reply, CommandError> {
    let key = &args[if form == Form::SearchStore { 2 } else { 1 }];
    let mut set = find(ctx, key)?;
    let asked = parse(ctx, args, form, &mut set)?;
    let mut found = match (set, asked.middle.flatten(), asked.shape) {
        (Some(mut set), Some(middle), Some(shape)) => {
            let most = asked.count.filter(|_| asked.any);
            collect(ctx, &mut set, &Area { middle, shape }, most)?
        }
        _ => Vec::new(),
    };
    // The nearest, if some are to be left out.
    let order = match asked.order {
        Order::None if asked.count.is_some() && !asked.any => Order::Nearest,
        order => order,
    };
    match order {
        Order::None => {}
        Order::Nearest => found.sort_by(|a, b| a.distance_m.total_cmp(&b.distance_m)),
        Order::Farthest => found.sort_by(|a, b| b.distance_m.total_cmp(&a.distance_m)),
    }
    found.truncate(asked.count.map_or(usize::MAX, |count| usize::try_from(count).unwrap_or(usize::MAX)));
    match asked.store {
        None => show(&asked, found),
        Some(target) => {
            let score = |found: &Found| {
                if asked.store_distance { found.distance_m / asked.metres } else { found.score }
            };
            let pairs = found.into_iter().map(|found| (score(&found), found.member)).collect();
            let name = if form == Form::SearchStore { "geosearchstore" } else { "georadiusstore" };
            store(ctx, target, pairs, name)
        }
    }
}

/// What is in an area, at most so many.
fn collect(
    ctx: &mut Ctx<'_, '_>,
    set: &mut SortedSet<'_>,
    area: &Area,
    most: Option<u64>,
) -> Result<Vec<Found>, CommandError> {
    let mut found = Vec::new();
    let is_enough = |found: &Vec<Found>| most.is_some_and(|most| found.len() as u64 >= most);
    for (from, to) in area.ranges() {
        if is_enough(&found) {
            break;
        }
        let bounds = ScoreBounds::Scores(ScoreEdge::Including(from), ScoreEdge::Excluding(to));
        let (first, behind) = set.ranks(ctx.tx, bounds)?;
        set.for_each(ctx.tx, first, behind - first, false, |score, member| {
            if !is_enough(&found)
                && let Some(distance_m) = area.distance_m(Place::of_score(score))
            {
                found.push(Found { member, score, distance_m });
            }
        })?;
    }
    Ok(found)
}

fn show(asked: &Asked<'_>, found: Vec<Found>) -> Result<Reply, CommandError> {
    let plain = !(asked.with_distance || asked.with_hash || asked.with_place);
    let mut bytes = 0;
    let mut items = Vec::with_capacity(found.len());
    for Found { member, score, distance_m } in found {
        bytes += size_of::<Reply>() + member.len();
        if bytes > MAX_REPLY_BYTES {
            return err(TOO_LARGE);
        }
        if plain {
            items.push(Reply::Bulk(member));
            continue;
        }
        let mut item = vec![Reply::Bulk(member)];
        item.extend(asked.with_distance.then(|| distance_text(distance_m / asked.metres)));
        item.extend(asked.with_hash.then_some(Reply::Int(score as i64)));
        item.extend(asked.with_place.then(|| coordinates(Place::of_score(score))));
        items.push(Reply::Array(item));
    }
    Ok(Reply::Array(items))
}
