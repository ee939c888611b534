use crate::{Space, TrackId};

/// Why a store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk, the file or the server does not let us; the text says which.
    #[error("not available: {0}")]
    Unavailable(String),
    /// More is asked at once than is done: come back later.
    #[error("the database is busy; try again in a moment")]
    Overloaded,
    /// A newer SoniqueBay wrote this database.
    #[error("the database has format {found}, this version knows up to {supported}: use the newer SoniqueBay")]
    Newer {
        /// The format found.
        found: i64,
        /// The newest one known here.
        supported: i64,
    },
    /// A stored value cannot be read.
    #[error("{table} {row}: {column} cannot be read")]
    Corrupt {
        /// Where it lies.
        table: &'static str,
        /// Which row.
        row: String,
        /// Which column.
        column: &'static str,
    },
    /// The track is not in the catalogue.
    #[error("there is no track {0}")]
    NoTrack(TrackId),
    /// The vector was made from an older version of the track than the one that is known.
    #[error("track {0} has a newer version")]
    Outdated(TrackId),
    /// Each space costs an index: there is a bound.
    #[error("there are {0} spaces already, and no more are kept: store vectors in one of them")]
    TooManySpaces(usize),
    /// A space that jobs fill is not dropped.
    #[error("space {0} is the one that the settings ask for: it is kept")]
    SpaceWanted(Space),
}
