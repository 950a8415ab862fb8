//! Lists of numbers as texts, so that rows hold them as they hold texts: ten ASCII characters for each element, seven bits in
//! each, lowest first. The first 64 bits are the element's word, the next one says that it is not null.

const CHARACTERS: usize = 10;
/// How many elements the lists of one column can have, whose texts stand in an array of less than 2 GiB.
pub(crate) const PACKED_MAX: usize = i32::MAX as usize / CHARACTERS;

/// Appends an element: its word, or `None` where it is null.
pub(crate) fn pack(text: &mut String, element: Option<u64>) {
    let bits = element.map_or(0, |word| 1 << 64 | u128::from(word));
    text.extend((0..CHARACTERS).map(|place| char::from((bits >> (7 * place)) as u8 & 0x7f)));
}

/// The elements of a list; of a text that is none, whatever its bytes say.
pub(super) fn unpacked(text: &str) -> impl ExactSizeIterator<Item = Option<u64>> + '_ {
    text.as_bytes().chunks_exact(CHARACTERS).map(|characters| {
        let bits = characters.iter().rev().fold(0_u128, |bits, character| bits << 7 | u128::from(character & 0x7f));
        (bits >> 64 & 1 == 1).then_some(bits as u64)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_come_back() {
        let elements = [Some(0), None, Some(u64::MAX), Some(1 << 63), Some((-0.0_f64).to_bits()), Some(f64::NAN.to_bits())];
        let mut text = String::new();
        elements.iter().for_each(|element| pack(&mut text, *element));
        assert!(text.is_ascii() && text.len() == CHARACTERS * elements.len());
        assert_eq!(unpacked(&text).collect::<Vec<_>>(), elements);
        assert_eq!(unpacked("").len(), 0);
        assert_eq!(unpacked("é is no list").len(), 1);
    }
}
