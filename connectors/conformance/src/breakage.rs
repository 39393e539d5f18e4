//! The ways to break a connector, and the one law each of them fails.

use quietus_contract::Capabilities;

use crate::laws::Law;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breakage {
    OmitsTheLast,
    ClaimsRemoved,
    AbsentAsRemoved,
    IgnoresTheGate,
    IgnoresTheLease,
    ComparesLoosely,
    DoesItTwice,
    ParentsFirst,
    FailsTheBatch,
    MasksHalf,
    MasksTooMuch,
    UnchangedAsChanged,
    ClaimsCorrected,
    CorrectInserts,
    PretendsToRestrict,
    VerifyRepeats,
    VerifyByKeyOnly,
    CheckTidiesUp,
    CheckKeepsQuiet,
    ScanSkips,
    SaysNoRetry,
    LeaksSecrets,
}

impl Breakage {
    pub const ALL: [Self; 22] = [
        Self::OmitsTheLast,
        Self::ClaimsRemoved,
        Self::AbsentAsRemoved,
        Self::IgnoresTheGate,
        Self::IgnoresTheLease,
        Self::ComparesLoosely,
        Self::DoesItTwice,
        Self::ParentsFirst,
        Self::FailsTheBatch,
        Self::MasksHalf,
        Self::MasksTooMuch,
        Self::UnchangedAsChanged,
        Self::ClaimsCorrected,
        Self::CorrectInserts,
        Self::PretendsToRestrict,
        Self::VerifyRepeats,
        Self::VerifyByKeyOnly,
        Self::CheckTidiesUp,
        Self::CheckKeepsQuiet,
        Self::ScanSkips,
        Self::SaysNoRetry,
        Self::LeaksSecrets,
    ];

    /// Whether a connector that can do this can be broken so: what erases nothing cannot tidy up.
    pub fn is_possible(self, can: &Capabilities) -> bool {
        match self {
            Self::CheckTidiesUp => can.erase,
            // Whoever asks the gate before it knows what is there cannot lie of that alone.
            Self::ClaimsCorrected => can.gated || !can.outside,
            _ => true,
        }
    }

    /// The one law it fails.
    pub fn law(self) -> Law {
        match self {
            Self::OmitsTheLast => Law::EveryTargetIsAnswered,
            Self::ClaimsRemoved => Law::ErasedIsGone,
            Self::AbsentAsRemoved => Law::AbsentIsTold,
            Self::IgnoresTheGate => Law::GateIsAsked,
            Self::IgnoresTheLease => Law::LeaseIsKept,
            Self::ComparesLoosely => Law::OnlyTheTarget,
            Self::DoesItTwice => Law::RepeatChangesNothing,
            Self::ParentsFirst => Law::ChildrenGoFirst,
            Self::FailsTheBatch => Law::OneHarmsNoOther,
            Self::MasksHalf => Law::MaskIsWhole,
            Self::MasksTooMuch => Law::MaskIsNarrow,
            Self::UnchangedAsChanged => Law::UnchangedIsTold,
            Self::ClaimsCorrected => Law::CorrectedIsSet,
            Self::CorrectInserts => Law::CorrectNeverInserts,
            Self::PretendsToRestrict => Law::RefusesWhatItCannot,
            Self::VerifyRepeats => Law::VerifyReads,
            Self::VerifyByKeyOnly => Law::VerifyByIdentity,
            Self::CheckTidiesUp => Law::CheckOnlyReads,
            Self::CheckKeepsQuiet => Law::CheckIsFrank,
            Self::ScanSkips => Law::ScanReadsOnce,
            Self::SaysNoRetry => Law::FailuresTell,
            Self::LeaksSecrets => Law::SecretsStay,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_law_has_a_connector_that_breaks_it_and_a_name_of_its_own() {
        let broken: BTreeSet<Law> = Breakage::ALL.iter().map(|b| b.law()).collect();
        assert_eq!(broken, Law::ALL.into_iter().collect());
        let names: BTreeSet<&str> = Law::ALL.iter().map(|l| l.id()).collect();
        assert_eq!(names.len(), Law::ALL.len());
    }
}
