//! Bytes with a media type, for inputs and results that are no JSON.

/// Bytes and what they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// The bytes; of a result up to 256 KiB.
    pub bytes: Vec<u8>,
    /// Their media type, such as `image/png`. `application/json` is one JSON value.
    pub content_type: String,
}

/// Media type of inputs and results that name none.
pub(crate) const JSON: &str = "application/json";

impl Payload {
    /// Bytes of this media type.
    pub fn new(bytes: impl Into<Vec<u8>>, content_type: impl Into<String>) -> Self {
        Self { bytes: bytes.into(), content_type: content_type.into() }
    }

    /// The text of one JSON value.
    pub(crate) fn json(text: impl Into<Vec<u8>>) -> Self {
        Self::new(text, JSON)
    }
}
