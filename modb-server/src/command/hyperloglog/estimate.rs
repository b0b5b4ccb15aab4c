//! How many elements the registers speak of: the estimator of Ertl ("New cardinality estimation algorithms for HyperLogLog sketches",
//! 2017), in the order of operations in which Redis computes it. Pure.

use super::registers::{HASH_BITS, Histogram, REGISTERS, Registers};

/// 0.5 / ln(2).
const ALPHA: f64 = 0.721_347_520_444_481_7;

pub(super) fn of_registers(registers: &Registers) -> i64 {
    let mut counts = Histogram::default();
    registers.iter().for_each(|&count| counts.0[usize::from(count)] += 1);
    of_histogram(&counts)
}

pub(super) fn of_histogram(counts: &Histogram) -> i64 {
    let m = REGISTERS as f64;
    let mut z = m * tau((m - f64::from(counts.0[HASH_BITS + 1])) / m);
    for count in (1..=HASH_BITS).rev() {
        z += f64::from(counts.0[count]);
        z *= 0.5;
    }
    z += m * sigma(f64::from(counts.0[0]) / m);
    (ALPHA * m * m / z).round() as i64
}

fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x).powi(2) * y;
        if before == z {
            return z / 3.0;
        }
    }
}

fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if before == z {
            return z;
        }
    }
}
