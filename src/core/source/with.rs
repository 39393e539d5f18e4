//! What each fact takes and cannot do without.

use super::model::Emit;

/// (needed, allowed beside it); of `item or copies` one is enough.
pub(super) fn fields(emit: Emit) -> (&'static [&'static str], &'static [&'static str]) {
    match emit {
        Emit::ItemRecorded => (
            &["subject", "category", "copies"],
            &["item", "purposes", "jurisdiction", "process", "controller", "service", "recorded_at"],
        ),
        Emit::ItemCopied => (&["subject", "item", "copies"], &["disclosure", "at"]),
        Emit::ItemTouched => (&["subject"], &["item", "copies", "at"]),
        Emit::ItemGone => (&[], &["item", "copies", "subject", "system", "dataset", "at"]),
        Emit::ItemCorrected => (&["subject", "values"], &["item", "copies", "at"]),
        Emit::PurposeGranted | Emit::PurposeWithdrawn => {
            (&["subject", "purpose"], &["item", "policy_version", "at"])
        }
        Emit::SubjectEvent => (&["subject", "event"], &["process", "item", "at"]),
        Emit::SubjectLinked => (&["subject", "also"], &["at"]),
    }
}

/// Which record it is, its id or where it lies must say.
pub(super) fn is_of_an_item(emit: Emit) -> bool {
    matches!(emit, Emit::ItemTouched | Emit::ItemGone | Emit::ItemCorrected)
}

/// Every field of `with`, in the order of the schema.
pub(super) const ALL: [&str; 19] = [
    "item",
    "subject",
    "category",
    "purposes",
    "purpose",
    "policy_version",
    "jurisdiction",
    "process",
    "controller",
    "service",
    "recorded_at",
    "at",
    "event",
    "also",
    "system",
    "dataset",
    "copies",
    "values",
    "disclosure",
];
