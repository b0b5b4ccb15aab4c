//! Places on the globe as numbers of 52 bits (geohash), distances, and the cells that cover an area. Pure.
//!
//! As Redis computes them, operation by operation, so that scores and distances are the same to the last bit that is shown.

/// What is covered: Web Mercator's square.
pub(super) const LONGITUDES: (f64, f64) = (-180.0, 180.0);
pub(super) const LATITUDES: (f64, f64) = (-85.051_128_78, 85.051_128_78);
/// What the textual form covers.
const ALL_LATITUDES: (f64, f64) = (-90.0, 90.0);

const EARTH_RADIUS_M: f64 = 6_372_797.560_856;
const MERCATOR_MAX_M: f64 = 20_037_726.37;
const RADIANS: f64 = std::f64::consts::PI / 180.0;

/// Halvings of each side until a cell is a place.
const MOST_STEPS: u32 = 26;

/// Longitude and latitude.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Place {
    pub(super) longitude: f64,
    pub(super) latitude: f64,
}

impl Place {
    /// What a sorted set keeps as its score.
    pub(super) fn score(self) -> f64 {
        Cell::of(self, LATITUDES, MOST_STEPS).bits as f64
    }

    /// The middle of what a score stands for.
    pub(super) fn of_score(score: f64) -> Self {
        let (from, to) = Cell { bits: score as u64, steps: MOST_STEPS }.corners();
        Self {
            longitude: ((from.longitude + to.longitude) / 2.0).clamp(LONGITUDES.0, LONGITUDES.1),
            latitude: ((from.latitude + to.latitude) / 2.0).clamp(LATITUDES.0, LATITUDES.1),
        }
    }

    /// The form that other programs read, of eleven letters of which the last says nothing.
    pub(super) fn text(self) -> String {
        const LETTERS: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
        let bits = Cell::of(self, ALL_LATITUDES, MOST_STEPS).bits;
        let letter = |at: u32| match at {
            10 => '0',
            at => char::from(LETTERS[(bits >> (52 - (at + 1) * 5)) as usize & 31]),
        };
        (0..11).map(letter).collect()
    }

    /// Along the surface, in metres.
    pub(super) fn distance_m(self, other: Self) -> f64 {
        let v = ((other.longitude * RADIANS - self.longitude * RADIANS) / 2.0).sin();
        if v == 0.0 {
            return latitude_distance_m(self.latitude, other.latitude);
        }
        let (a, b) = (self.latitude * RADIANS, other.latitude * RADIANS);
        let u = ((b - a) / 2.0).sin();
        2.0 * EARTH_RADIUS_M * (u * u + a.cos() * b.cos() * v * v).sqrt().asin()
    }
}

fn latitude_distance_m(a: f64, b: f64) -> f64 {
    EARTH_RADIUS_M * (b * RADIANS - a * RADIANS).abs()
}

/// What is searched.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    Circle { radius_m: f64 },
    Box { width_m: f64, height_m: f64 },
}

/// An area around a place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Area {
    pub(super) middle: Place,
    pub(super) shape: Shape,
}

impl Area {
    /// How far a place in it is from the middle; `None`: it is not in it.
    pub(super) fn distance_m(&self, place: Place) -> Option<f64> {
        let distance = || self.middle.distance_m(place);
        match self.shape {
            Shape::Circle { radius_m } => Some(distance()).filter(|distance| *distance <= radius_m),
            Shape::Box { width_m, height_m } => {
                let beside = Place { longitude: self.middle.longitude, ..place };
                let inside = latitude_distance_m(place.latitude, self.middle.latitude) <= height_m / 2.0
                    && place.distance_m(beside) <= width_m / 2.0;
                inside.then(distance)
            }
        }
    }

    /// South-west and north-east of all that is in it.
    fn bounds(&self) -> (Place, Place) {
        let (width, height) = match self.shape {
            Shape::Circle { radius_m } => (radius_m, radius_m),
            Shape::Box { width_m, height_m } => (width_m / 2.0, height_m / 2.0),
        };
        let Place { longitude, latitude } = self.middle;
        let latitudes = height / EARTH_RADIUS_M / RADIANS;
        // The wider end.
        let widest = if latitude < 0.0 { latitude - latitudes } else { latitude + latitudes };
        let longitudes = width / EARTH_RADIUS_M / (widest * RADIANS).cos() / RADIANS;
        let at = |sign: f64| Place {
            longitude: longitude + sign * longitudes,
            latitude: latitude + sign * latitudes,
        };
        (at(-1.0), at(1.0))
    }

    fn radius_m(&self) -> f64 {
        match self.shape {
            Shape::Circle { radius_m } => radius_m,
            Shape::Box { width_m, height_m } => {
                ((width_m / 2.0) * (width_m / 2.0) + (height_m / 2.0) * (height_m / 2.0)).sqrt()
            }
        }
    }

    /// Ranges of scores, each without its end, in which all places in it are.
    pub(super) fn ranges(&self) -> Vec<(f64, f64)> {
        let (south_west, north_east) = self.bounds();
        let mut steps = steps_for(self.radius_m(), self.middle.latitude);
        let mut cell = Cell::of(self.middle, LATITUDES, steps);
        let reaches = |cell: Cell| {
            let (north, south) = (cell.moved(0, 1).corners().1, cell.moved(0, -1).corners().0);
            let (east, west) = (cell.moved(1, 0).corners().1, cell.moved(-1, 0).corners().0);
            north.latitude >= north_east.latitude
                && south.latitude <= south_west.latitude
                && east.longitude >= north_east.longitude
                && west.longitude <= south_west.longitude
        };
        if steps > 1 && !reaches(cell) {
            steps -= 1;
            cell = Cell::of(self.middle, LATITUDES, steps);
        }
        let (from, to) = cell.corners();
        // Neighbours that cannot have any are left out; coarse ones are their own neighbours.
        let needed = |x: i32, y: i32| {
            steps < 2
                || !(y < 0 && from.latitude < south_west.latitude
                    || y > 0 && to.latitude > north_east.latitude
                    || x < 0 && from.longitude < south_west.longitude
                    || x > 0 && to.longitude > north_east.longitude)
        };
        // In the order in which Redis goes through them.
        const NEIGHBOURS: [(i32, i32); 9] =
            [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)];
        let mut cells: Vec<Cell> = Vec::new();
        for (x, y) in NEIGHBOURS.into_iter().filter(|&(x, y)| needed(x, y)) {
            let neighbour = cell.moved(x, y);
            if !cells.contains(&neighbour) {
                cells.push(neighbour);
            }
        }
        let score = |bits: u64| (bits << (52 - steps * 2)) as f64;
        cells.into_iter().map(|cell| (score(cell.bits), score(cell.bits + 1))).collect()
    }
}

/// How small cells may be of which nine cover the radius.
fn steps_for(mut radius_m: f64, latitude: f64) -> u32 {
    if radius_m == 0.0 {
        return MOST_STEPS;
    }
    let mut steps: i32 = 1;
    while radius_m < MERCATOR_MAX_M {
        radius_m *= 2.0;
        steps += 1;
    }
    // So that it is in reach in most cases; towards the poles cells are narrower.
    steps -= 2 + i32::from(latitude.abs() > 66.0) + i32::from(latitude.abs() > 80.0);
    steps.clamp(1, MOST_STEPS as i32) as u32
}

/// A part of the globe: bits of the latitude at the even places, of the longitude at the odd ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cell {
    bits: u64,
    steps: u32,
}

impl Cell {
    fn of(place: Place, latitudes: (f64, f64), steps: u32) -> Self {
        let scaled = |value: f64, (min, max): (f64, f64)| {
            ((value - min) / (max - min) * (1_u64 << steps) as f64) as u32
        };
        let (x, y) = (scaled(place.longitude, LONGITUDES), scaled(place.latitude, latitudes));
        Self { bits: spread(y) | spread(x) << 1, steps }
    }

    /// Its neighbour, around the globe. What lies on the eastern or northern edge has a cell behind the last one, as in Redis.
    fn moved(self, x: i32, y: i32) -> Self {
        let mask = (1_u64 << self.steps) as u32 - 1;
        let step = |value: u32, by: i32| if by == 0 { value } else { value.wrapping_add_signed(by) & mask };
        let (longitude, latitude) = (step(gather(self.bits >> 1), x), step(gather(self.bits), y));
        Self { bits: spread(latitude) | spread(longitude) << 1, ..self }
    }

    /// South-west and north-east.
    fn corners(self) -> (Place, Place) {
        let value = |index: u64, (min, max): (f64, f64)| {
            min + (index as f64 / (1_u64 << self.steps) as f64) * (max - min)
        };
        let (x, y) = (u64::from(gather(self.bits >> 1)), u64::from(gather(self.bits)));
        let at =
            |more| Place { longitude: value(x + more, LONGITUDES), latitude: value(y + more, LATITUDES) };
        (at(0), at(1))
    }
}

/// Its bits at the even places.
fn spread(value: u32) -> u64 {
    (0..32).fold(0, |bits, at| bits | u64::from(value >> at & 1) << (2 * at))
}

/// The bits at the even places.
fn gather(bits: u64) -> u32 {
    (0..32).fold(0, |value, at| value | ((bits >> (2 * at)) as u32 & 1) << at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 3_000, ..ProptestConfig::default() })]

        #[test]
        fn a_place_is_found_in_every_area_that_it_is_in(
            longitude in -170.0..170.0f64, latitude in -84.0..84.0f64, other in (-1.0..1.0f64, -1.0..1.0f64), digits in 0.0..6.5f64, is_box: bool,
        ) {
            let (middle, size) = (Place { longitude, latitude }, 10f64.powf(digits));
            let shape = if is_box { Shape::Box { width_m: size, height_m: size / 2.0 } } else { Shape::Circle { radius_m: size } };
            let area = Area { middle, shape };
            // Areas that reach over the poles or the date line are searched as Redis searches them, which is less than all.
            let (south_west, north_east) = area.bounds();
            let inside = |place: Place| place.longitude.abs() < 180.0 && place.latitude.abs() < 85.0;
            if inside(south_west) && inside(north_east) {
                let near = Place {
                    longitude: longitude + other.0 * (north_east.longitude - longitude),
                    latitude: latitude + other.1 * (north_east.latitude - latitude),
                };
                let score = near.score();
                let kept = Place::of_score(score);
                prop_assert!((kept.longitude - near.longitude).abs() < 1e-5 && (kept.latitude - near.latitude).abs() < 1e-5);
                if area.distance_m(kept).is_some() {
                    prop_assert!(area.ranges().iter().any(|(from, to)| score >= *from && score < *to));
                }
            }
        }
    }

    #[test]
    fn bits_are_spread_and_gathered() {
        for value in [0, 1, 0xffff_ffff, 0x1234_5678] {
            assert_eq!(gather(spread(value)), value);
        }
        assert_eq!(spread(0b1011), 0b100_0101);
    }
}
