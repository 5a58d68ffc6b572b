//! Chance that can be repeated: numbers that depend on a seed and a place, not on who asks first.

/// A number of `0.0..1.0` for this seed and place; evenly spread over neighbouring places.
pub fn unit(seed: u64, place: u64) -> f64 {
    (mix(mix(seed) ^ place) >> 11) as f64 / (1u64 << 53) as f64
}

/// The finaliser of SplitMix64: each bit of the input moves half the bits of the output.
fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::unit;

    #[test]
    fn evenly_spread_and_repeatable() {
        let numbers: Vec<f64> = (0..10_000).map(|place| unit(1, place)).collect();
        assert!(numbers.iter().all(|number| (0.0..1.0).contains(number)));
        let mean = numbers.iter().sum::<f64>() / 10_000.0;
        assert!((0.49..0.51).contains(&mean), "{mean}");
        assert_eq!(unit(1, 77), numbers[77]);
        assert_ne!(unit(2, 77), numbers[77]);
    }
}
