//! Where a library's database is.

use std::fmt;
use std::path::PathBuf;

use crate::cli::ServicesArgs;
use crate::data_folder::DataFolder;
use crate::exit::End;

/// A file, or a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A SQLite file.
    File(PathBuf),
    /// The address of a PostgreSQL database, with its password.
    Server(String),
}

impl Place {
    /// The database that the settings name; by default a file in the data folder.
    ///
    /// # Errors
    /// Where DATABASE_URL means nothing.
    pub(crate) fn of(services: &ServicesArgs, folder: &DataFolder) -> Result<Self, End> {
        services.database().map_or_else(|| Ok(Self::File(folder.database())), |url| Self::parse("DATABASE_URL", url))
    }

    /// What `url` names; `setting` is where it was said.
    ///
    /// # Errors
    /// Where it means nothing.
    pub(crate) fn parse(setting: &str, url: &str) -> Result<Self, End> {
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Ok(Self::Server(url.to_owned()));
        }
        match url.strip_prefix("sqlite://").filter(|path| !path.is_empty()) {
            Some(path) => Ok(Self::File(path.into())),
            None => {
                let scheme: String = url.split("://").next().unwrap_or_default().chars().take(40).collect();
                Err(End::Usage(format!(
                    "{setting}: {scheme:?} names no database that is known: write sqlite:///path or \
                     postgres://user:password@host/name"
                )))
            }
        }
    }
}

/// As a person is shown it: without user and password.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Server(url) => url.rsplit_once('@').map_or("PostgreSQL", |(_, host)| host).fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Place;

    #[test]
    fn a_url_names_a_file_or_a_server_and_shows_no_password() {
        assert_eq!(Place::parse("X", "sqlite:///a/b.db").unwrap(), Place::File("/a/b.db".into()));
        let server = Place::parse("X", "postgres://me:s3cr@t@host:5/db").unwrap();
        assert_eq!(server.to_string(), "host:5/db");
        let refused = Place::parse("--to", "mysql://me:secret@host/db").unwrap_err().to_string();
        assert!(refused.starts_with("--to: \"mysql\"") && !refused.contains("secret"), "{refused}");
    }
}
