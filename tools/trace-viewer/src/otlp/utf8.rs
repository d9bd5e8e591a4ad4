//! JSON that is not UTF-8: kept byte for byte, through parsers that know texts only.
//!
//! Each wrong byte becomes one character of a range that nobody uses, and back again when a value is read.
//! Python does the same by the name of surrogateescape. Protobuf has no such case: there the parser
//! refuses the request.

/// Bytes 0x80 to 0xFF become U+10FF80 to U+10FFFF, the end of the last private use plane.
const ESCAPE: u32 = 0x10_FF00;

/// The text, with each byte that is no part of it escaped.
pub(super) fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(
            chunk
                .invalid()
                .iter()
                .filter_map(|byte| char::from_u32(ESCAPE + u32::from(*byte))),
        );
    }
    text
}

/// The bytes as they came, when any of them was escaped.
pub(super) fn unescape(text: &str) -> Option<Vec<u8>> {
    text.chars().any(|char| escaped(char).is_some()).then(|| {
        let mut bytes = Vec::with_capacity(text.len());
        for char in text.chars() {
            match escaped(char) {
                Some(byte) => bytes.push(byte),
                None => bytes.extend(char.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        bytes
    })
}

/// The text with a replacement character for each wrong byte: for names and keys, which must be texts.
pub(super) fn lossy(text: String) -> Box<str> {
    match unescape(&text) {
        None => text.into(),
        Some(bytes) => String::from_utf8_lossy(&bytes).into(),
    }
}

fn escaped(char: char) -> Option<u8> {
    u32::from(char)
        .checked_sub(ESCAPE)
        .and_then(|byte| u8::try_from(byte).ok())
        .filter(|byte| *byte >= 0x80)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_string_comes_back() {
        let cases: [&[u8]; 5] = [
            b"caf\xe9",
            b"\xff\xfe",
            b"\xc3",
            b"a\x80\xc3\xa9",
            &[0xf0, 0x9f, 0x92],
        ];
        for bytes in cases {
            assert_eq!(unescape(&escape(bytes)).as_deref(), Some(bytes));
        }
    }

    #[test]
    fn text_stays_text() {
        for text in ["", "café", "😀 \u{10FFFD}x".trim_end_matches("\u{10FFFD}x")] {
            assert_eq!(escape(text.as_bytes()), text);
            assert_eq!(unescape(text), None);
            assert_eq!(&*lossy(text.to_owned()), text);
        }
    }

    #[test]
    fn names_and_keys_are_texts_always() {
        assert_eq!(&*lossy(escape(b"bad \xe9")), "bad \u{FFFD}");
    }
}
