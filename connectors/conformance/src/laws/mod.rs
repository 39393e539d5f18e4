//! The laws by name. Each has a sentence, a check, and in [`crate::Breakage`] a connector that breaks it alone.

mod changing;
mod erasing;
mod failing;
mod reading;

use crate::LawOutcome;
use crate::harness::Harness;
use crate::trial::Flaw;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Law {
    EveryTargetIsAnswered,
    ErasedIsGone,
    AbsentIsTold,
    GateIsAsked,
    LeaseIsKept,
    OnlyTheTarget,
    RepeatChangesNothing,
    ChildrenGoFirst,
    OneHarmsNoOther,
    MaskIsWhole,
    MaskIsNarrow,
    UnchangedIsTold,
    CorrectedIsSet,
    CorrectNeverInserts,
    RefusesWhatItCannot,
    VerifyReads,
    VerifyByIdentity,
    CheckOnlyReads,
    CheckIsFrank,
    ScanReadsOnce,
    FailuresTell,
    SecretsStay,
}

impl Law {
    pub const ALL: [Self; 22] = [
        Self::EveryTargetIsAnswered,
        Self::ErasedIsGone,
        Self::AbsentIsTold,
        Self::GateIsAsked,
        Self::LeaseIsKept,
        Self::OnlyTheTarget,
        Self::RepeatChangesNothing,
        Self::ChildrenGoFirst,
        Self::OneHarmsNoOther,
        Self::MaskIsWhole,
        Self::MaskIsNarrow,
        Self::UnchangedIsTold,
        Self::CorrectedIsSet,
        Self::CorrectNeverInserts,
        Self::RefusesWhatItCannot,
        Self::VerifyReads,
        Self::VerifyByIdentity,
        Self::CheckOnlyReads,
        Self::CheckIsFrank,
        Self::ScanReadsOnce,
        Self::FailuresTell,
        Self::SecretsStay,
    ];

    pub fn id(self) -> &'static str {
        match self {
            Self::EveryTargetIsAnswered => "every_target_is_answered",
            Self::ErasedIsGone => "erased_is_gone",
            Self::AbsentIsTold => "absent_is_told",
            Self::GateIsAsked => "gate_is_asked",
            Self::LeaseIsKept => "lease_is_kept",
            Self::OnlyTheTarget => "only_the_target",
            Self::RepeatChangesNothing => "repeat_changes_nothing",
            Self::ChildrenGoFirst => "children_go_first",
            Self::OneHarmsNoOther => "one_harms_no_other",
            Self::MaskIsWhole => "mask_is_whole",
            Self::MaskIsNarrow => "mask_is_narrow",
            Self::UnchangedIsTold => "unchanged_is_told",
            Self::CorrectedIsSet => "corrected_is_set",
            Self::CorrectNeverInserts => "correct_never_inserts",
            Self::RefusesWhatItCannot => "refuses_what_it_cannot",
            Self::VerifyReads => "verify_reads",
            Self::VerifyByIdentity => "verify_by_identity",
            Self::CheckOnlyReads => "check_only_reads",
            Self::CheckIsFrank => "check_is_frank",
            Self::ScanReadsOnce => "scan_reads_once",
            Self::FailuresTell => "failures_tell",
            Self::SecretsStay => "secrets_stay",
        }
    }

    pub fn sentence(self) -> &'static str {
        match self {
            Self::EveryTargetIsAnswered => {
                "Every target of a call has exactly one outcome, and nothing else has."
            }
            Self::ErasedIsGone => "A record that may go is gone, and is answered removed.",
            Self::AbsentIsTold => "Where there was nothing, the answer is absent.",
            Self::GateIsAsked => {
                "What the gate stops stays as it is and is answered blocked; nothing goes unasked."
            }
            Self::LeaseIsKept => "Nothing is committed after the permit has run out.",
            Self::OnlyTheTarget => "Records with other keys stay, however alike the keys look.",
            Self::RepeatChangesNothing => "The same commands again change nothing more.",
            Self::ChildrenGoFirst => "Within a call, records that refer to others go before those.",
            Self::OneHarmsNoOther => "A target that cannot be done does not keep the others from being done.",
            Self::MaskIsWhole => "A change reaches every field of every category it names.",
            Self::MaskIsNarrow => "A change leaves the fields of other categories as they are.",
            Self::UnchangedIsTold => "What already holds its value is answered unchanged, never changed.",
            Self::CorrectedIsSet => "A corrected field holds its new value, and a cleared one is empty.",
            Self::CorrectNeverInserts => "A correction of a record that is not there makes none.",
            Self::RefusesWhatItCannot => "What the connector cannot execute is refused and changes nothing.",
            Self::VerifyReads => "The read-back says what lies there now, whatever was answered before.",
            Self::VerifyByIdentity => {
                "The read-back finds the subject's record under another spelling of its key, and takes no other for it."
            }
            Self::CheckOnlyReads => "Describing, checking, verifying and asking the time change nothing.",
            Self::CheckIsFrank => "The check passes a sound target and names what cannot be executed.",
            Self::ScanReadsOnce => "A scan reads every record once, page by page, and changes nothing.",
            Self::FailuresTell => {
                "A failure before any effect says so, and that a retry may help where it may."
            }
            Self::SecretsStay => "No key, identity or corrected value shows in an answer or in Debug.",
        }
    }

    pub(crate) async fn check(self, harness: &dyn Harness) -> LawOutcome {
        let held = match self {
            Self::EveryTargetIsAnswered => erasing::every_target_is_answered(harness).await,
            Self::ErasedIsGone => erasing::erased_is_gone(harness).await,
            Self::AbsentIsTold => erasing::absent_is_told(harness).await,
            Self::GateIsAsked => erasing::gate_is_asked(harness).await,
            Self::LeaseIsKept => erasing::lease_is_kept(harness).await,
            Self::OnlyTheTarget => erasing::only_the_target(harness).await,
            Self::RepeatChangesNothing => erasing::repeat_changes_nothing(harness).await,
            Self::ChildrenGoFirst => erasing::children_go_first(harness).await,
            Self::OneHarmsNoOther => erasing::one_harms_no_other(harness).await,
            Self::MaskIsWhole => changing::mask_is_whole(harness).await,
            Self::MaskIsNarrow => changing::mask_is_narrow(harness).await,
            Self::UnchangedIsTold => changing::unchanged_is_told(harness).await,
            Self::CorrectedIsSet => changing::corrected_is_set(harness).await,
            Self::CorrectNeverInserts => changing::correct_never_inserts(harness).await,
            Self::RefusesWhatItCannot => changing::refuses_what_it_cannot(harness).await,
            Self::VerifyReads => reading::verify_reads(harness).await,
            Self::VerifyByIdentity => reading::verify_by_identity(harness).await,
            Self::CheckOnlyReads => reading::check_only_reads(harness).await,
            Self::CheckIsFrank => reading::check_is_frank(harness).await,
            Self::ScanReadsOnce => reading::scan_reads_once(harness).await,
            Self::FailuresTell => failing::failures_tell(harness).await,
            Self::SecretsStay => failing::secrets_stay(harness).await,
        };
        match held {
            Ok(()) => LawOutcome::Held,
            Err(Flaw::Broken(what)) => LawOutcome::Broken(what),
            Err(Flaw::NotApplicable(why)) => LawOutcome::NotApplicable(why),
            Err(Flaw::NotTried(why)) => LawOutcome::NotTried(why),
        }
    }
}
