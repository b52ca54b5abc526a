//! The places at which a process can be made to die.

macro_rules! places {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)+) => {
        /// A place that the code comes by.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Failpoint {
            $($(#[$doc])* $name,)+
        }

        impl Failpoint {
            /// Every place.
            pub const ALL: &[Failpoint] = &[$(Failpoint::$name,)+];

            /// Its name in `CHAOS_FAILPOINT`.
            pub fn name(self) -> &'static str {
                match self {
                    $(Failpoint::$name => $text,)+
                }
            }
        }
    };
}

places! {
    /// Before the limiter is asked.
    PermitAsked = "permit-asked",
    /// The limiter lets a request go.
    PermitGiven = "permit-given",
    /// The head of an answer is there.
    HeadRead = "head-read",
    /// A part of its body is there.
    BodyBegun = "body-begun",
    /// The answer is there as a whole.
    AnswerRead = "answer-read",
    /// A page was understood.
    PageParsed = "page-parsed",
    /// A transaction is about to begin, with a database that may be slow.
    BeginDue = "begin-due",
    /// A transaction has begun.
    Begun = "begun",
    /// It was found to be within the lease.
    LeaseHeld = "lease-held",
    /// Rows are written, not committed.
    RowsWritten = "rows-written",
    /// Records are set aside, not committed.
    QuarantineWritten = "quarantine-written",
    /// Vanished rows are marked, not committed.
    TombstonesWritten = "tombstones-written",
    /// What a reconcile has met is written, not committed.
    MetWritten = "met-written",
    /// A checkpoint is written, not committed.
    CheckpointWritten = "checkpoint-written",
    /// A watermark is written, not committed.
    WatermarkWritten = "watermark-written",
    /// Everything of a page is written; the commit comes next.
    PageWritten = "page-written",
    /// A commit is about to be sent.
    CommitDue = "commit-due",
    /// A commit was made.
    CommitMade = "commit-made",
    /// A run was entered into the books.
    RunBegun = "run-begun",
    /// All partitions of an object are read.
    PartitionsRead = "partitions-read",
    /// An object was noted as complete.
    ObjectCompleted = "object-completed",
    /// What was sent is about to be written down.
    LedgerDue = "ledger-due",
    /// The lease was taken.
    LeaseTaken = "lease-taken",
    /// The lease is about to be given back.
    LeaseGivenBack = "lease-given-back",
    /// A step of a migration was made, and not recorded.
    StepMade = "step-made",
    /// A migration was recorded.
    MigrationRecorded = "migration-recorded",
    /// The account was written down.
    AccountNoted = "account-noted",
}
