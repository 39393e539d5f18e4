//! Why an event was not taken: where, a stable code, a remedy. Never a value of the event.

/// An event that was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The event's own id, where it could be read.
    pub id: Option<String>,
    /// Kebab case, stable.
    pub code: &'static str,
    pub detail: String,
}

/// A refused event by its position in the batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    pub index: usize,
    pub id: Option<String>,
    pub code: &'static str,
    pub detail: String,
}

impl Refused {
    pub fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self { id: None, code, detail: detail.into() }
    }

    /// A required field that is not there.
    pub fn missing(field: &str) -> Self {
        Self::new("missing", format!("{field} is missing"))
    }

    /// A field of another type than it must have.
    pub fn wrong(field: &str, must: &str) -> Self {
        Self::new("wrong-type", format!("{field} must be {must}"))
    }

    /// The same, of a field inside another.
    pub fn inside(self, outer: &str) -> Self {
        Self { detail: format!("{outer}.{}", self.detail), ..self }
    }

    pub fn of(self, id: &str) -> Self {
        Self { id: Some(id.to_owned()), ..self }
    }

    pub fn at(self, index: usize) -> Rejected {
        Rejected { index, id: self.id, code: self.code, detail: self.detail }
    }
}
