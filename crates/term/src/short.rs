//! Short texts as words.
//!
//! Atoms and binaries of up to 15 bytes lie in the value itself. Copying a length
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

/// A length and 15 bytes as words that compare as the bytes do, and by the length only where they
/// are equal. The words are read where and as large as they were written, so that a text can be
/// compared right after it was made (see `docs/decisions/codec-speed.md`).
#[inline(always)]
pub(crate) fn ordered(len: u8, text: &[u8; 15]) -> (u64, u64, u8) {
    let ([a, b, c, d, e, f, g], rest) = text.split_first_chunk().expect("seven and eight bytes");
    let first = u64::from_le_bytes([len, *a, *b, *c, *d, *e, *f, *g]) >> 8;
    let second = u64::from_be_bytes(rest.try_into().expect("seven and eight bytes"));
    (first.swap_bytes(), second, len)
}

/// The lowest `n` bytes of a word, for `n` up to 15.
pub(crate) const LOW_BYTES: [u128; 16] = {
    let mut masks = [0; 16];
    let mut bytes = 0;
    while bytes < 16 {
        masks[bytes] = (1 << (8 * bytes)) - 1;
        bytes += 1;
    }
    masks
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_hold_every_byte_of_every_length_and_zeros_above() {
        let text: Vec<u8> = (1..=16).collect();
        for len in 0..=16 {
            let mut padded = [0; 16];
            padded[..len].copy_from_slice(&text[..len]);
            assert_eq!(word(&text[..len]).to_le_bytes(), padded, "{len}");
        }
    }

    #[test]
    fn ordered_words_compare_as_their_bytes() {
        let text = |first, last| {
            let mut text = [7; 15];
            (text[0], text[14]) = (first, last);
            text
        };
        let all = [text(0, 255), text(1, 0), text(1, 1), text(200, 0)];
        assert!(all.is_sorted());
        assert!(all.map(|text| ordered(15, &text)).is_sorted());
        let (short, long) = (ordered(1, &[0; 15]), ordered(2, &[0; 15]));
        assert!(short < long);
    }
}
