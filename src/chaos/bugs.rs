//! Bugs that can be planted.

macro_rules! bugs {
    ($($(#[$doc:meta])* $name:ident = $number:literal,)+) => {
        /// A mistake that replicators make.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Bug {
            $($(#[$doc])* $name = $number,)+
        }

        impl Bug {
            /// Every one, by its number.
            pub const ALL: &[Bug] = &[$(Bug::$name,)+];
        }
    };
}

bugs! {
    /// The position is committed before the rows.
    PositionFirst = 1,
    /// Rows and position are committed one after the other.
    TwoTransactions = 2,
    /// The watermark moves with the first page of a list that is newest first.
    EarlyWatermark = 3,
    /// What is asked for is strictly later than the watermark, without an overlap.
    NoOverlap = 4,
    /// A page that is not full ends the list.
    ShortPageEnds = 5,
    /// A numbered list is read forwards, and gone on with at a page number however long ago that was.
    PageNumbers = 6,
    /// Rows of one batch with equal keys are all written.
    NoDedupe = 7,
    /// An error of the source is taken for an empty list.
    ErrorIsEmpty = 8,
    /// What was sent before the start is forgotten.
    LimiterForgets = 9,
    /// All parents share the greatest of their watermarks.
    OneWatermark = 10,
    /// A commit does not look whether the lease was taken over.
    NoFence = 11,
    /// An error of the transport carries the URL.
    UrlInError = 12,
}
