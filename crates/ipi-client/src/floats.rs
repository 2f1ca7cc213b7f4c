//! Float64 numbers stored as the bytes that sockets and shared files take, so that a frame of a hundred thousand atoms
//! is copied and never re-encoded. Only for little-endian machines: elsewhere the crate does not compile.

#[cfg(not(target_endian = "little"))]
compile_error!(
    "i-PI sends numbers in the byte order of its machine; only little-endian machines are supported"
);

/// A list of float64 numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Floats(Vec<u8>);

const SIZE: usize = size_of::<f64>();

impl Floats {
    /// Resizes to `count` numbers; keeps the allocation.
    pub fn resize(&mut self, count: usize) {
        self.0.resize(count * SIZE, 0);
    }

    /// How many numbers there are.
    pub fn len(&self) -> usize {
        self.0.len() / SIZE
    }

    /// Whether there are no numbers.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The numbers.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = f64> + '_ {
        self.0.chunks_exact(SIZE).map(read)
    }

    /// The number at this place.
    pub fn get(&self, index: usize) -> f64 {
        read(&self.0[index * SIZE..][..SIZE])
    }

    /// Multiplies every number; a factor of 1 leaves the bytes untouched.
    #[allow(
        clippy::float_cmp,
        reason = "only a factor of exactly 1 changes nothing"
    )]
    pub fn scale(&mut self, factor: f64) {
        if factor == 1.0 {
            return;
        }
        for bytes in self.0.chunks_exact_mut(SIZE) {
            let scaled = read(bytes) * factor;
            bytes.copy_from_slice(&scaled.to_le_bytes());
        }
    }

    /// Index of the first number that is infinite or NaN.
    pub fn first_not_finite(&self) -> Option<usize> {
        // Without an early exit the compiler vectorises this loop.
        let found = self
            .iter()
            .fold(false, |found, number| found | !number.is_finite());
        if !found {
            return None;
        }
        self.iter().position(|number| !number.is_finite())
    }

    /// The numbers as bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, for a reader to fill.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl FromIterator<f64> for Floats {
    fn from_iter<T: IntoIterator<Item = f64>>(numbers: T) -> Self {
        Self(numbers.into_iter().flat_map(f64::to_le_bytes).collect())
    }
}

fn read(bytes: &[u8]) -> f64 {
    f64::from_le_bytes(bytes.try_into().expect("a number has eight bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_stored_exactly() {
        let numbers = [1.5, -0.0, f64::MAX, 1e-300];
        let mut floats: Floats = numbers.into_iter().collect();
        assert!(floats.iter().eq(numbers));
        assert_eq!(floats.len(), 4);
        floats.scale(2.0);
        assert!(floats.iter().eq(numbers.map(|number| number * 2.0)));
        assert!((floats.get(0) - 3.0).abs() < f64::EPSILON);
    }

    #[test]
    fn the_first_number_that_is_not_finite_is_found() {
        let found = |numbers: &[f64]| {
            let floats: Floats = numbers.iter().copied().collect();
            floats.first_not_finite()
        };
        assert_eq!(found(&[]), None);
        assert_eq!(found(&[f64::MAX, -0.0, f64::MIN_POSITIVE]), None);
        assert_eq!(found(&[1.0, f64::NAN, f64::INFINITY]), Some(1));
        assert_eq!(found(&[f64::NEG_INFINITY, f64::INFINITY]), Some(0));
    }
}
