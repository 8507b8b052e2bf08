//! Short texts as words.
//!
//! Atoms of up to 15 bytes and binaries of up to 23 lie in the value itself. Copying a length
//! known only at run time is a call that costs more than all else about them, so they are read as
//! words of a fixed size that overlap where the text is not as long.

/// `text`, at most 16 bytes, as a word: the first byte lowest, zeros above the last.
#[inline]
pub(crate) fn word(text: &[u8]) -> u128 {
    let len = text.len();
    if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
        let (first, last) = (u64::from_le_bytes(*first), u64::from_le_bytes(*last));
        return u128::from(first) | u128::from(last) << (8 * (len - 8));
    }
    if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
        let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
        return (u64::from(first) | u64::from(last) << (8 * (len - 4))).into();
    }
    match text {
        [] => 0,
        [first, .., last] => {
            let middle = len / 2;
            u128::from(*first)
                | u128::from(text[middle]) << (8 * middle)
                | u128::from(*last) << (8 * (len - 1))
        }
        [only] => (*only).into(),
    }
}

/// The first 16 bytes of `text`, at most 24, as one word, and those after them as another.
#[inline]
pub(crate) fn two_words(text: &[u8]) -> (u128, u64) {
    match (text.first_chunk(), text.last_chunk()) {
        (Some(first), Some(last)) if text.len() > 16 => {
            let last = u64::from_le_bytes(*last);
            (u128::from_le_bytes(*first), last >> (8 * (24 - text.len())))
        }
        _ => (word(text), 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_hold_every_byte_of_every_length_and_zeros_above() {
        let text: Vec<u8> = (1..=24).collect();
        for len in 0..=24 {
            let mut padded = [0; 24];
            padded[..len].copy_from_slice(&text[..len]);
            let (low, high) = two_words(&text[..len]);
            assert_eq!(low.to_le_bytes(), padded[..16], "{len}");
            assert_eq!(high.to_le_bytes(), padded[16..], "{len}");
            if len <= 16 {
                assert_eq!(word(&text[..len]), low);
            }
        }
    }
}
