//! Defaults that fit a kind of machine.

use clap::ValueEnum;

use super::machine::Machine;

/// Names the profile in the environment.
pub(crate) const ENV: &str = "SONIQUEBAY_PROFILE";

const GB: u64 = 1 << 30;

/// A kind of machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Profile {
    /// A Raspberry Pi 4 or the like, which has other things to do.
    Pi,
    /// A desktop or a small server.
    Desktop,
    /// A machine with cores to lend.
    Server,
}

/// What profiles set, by environment variable: for `pi`, `desktop` and `server`. What a desktop has is the program's own
/// default. The numbers for `pi` are those of the Python system's design for a Raspberry Pi 4.
const DEFAULTS: [(&str, [&str; 3]); 8] = [
    ("WORKER_CONCURRENCY", ["2", "2", "4"]),
    ("WORKER_BATCH", ["25", "64", "128"]),
    ("WORKER_TIME_LIMIT", ["3600", "3600", "3600"]),
    ("EMBEDDING_BATCH", ["16", "16", "32"]),
    ("SCAN_BATCH", ["25", "200", "200"]),
    ("SCAN_READERS", ["2", "3", "8"]),
    ("ANALYSIS_TIME_LIMIT", ["60", "1200", "1200"]),
    // A page in a browser takes six: enough for a household, and less memory for whoever opens many.
    ("HTTP_CONNECTIONS", ["200", "400", "400"]),
];

/// While one batch is stored, another is embedded: where one core, or less than a gigabyte, has to do, one is enough.
const ONE_AT_A_TIME: (usize, u64) = (1, GB);

impl Profile {
    /// What fits this machine.
    pub(crate) fn fitting(machine: &Machine) -> Self {
        let memory = machine.memory.unwrap_or(4 * GB);
        // The memory of a machine with 8 GB is a little less, as the kernel keeps some.
        if memory < 2 * GB || (machine.cores <= 4 && memory <= 8 * GB) {
            Self::Pi
        } else if machine.cores >= 12 && memory >= 24 * GB {
            Self::Server
        } else {
            Self::Desktop
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Pi => "pi",
            Self::Desktop => "desktop",
            Self::Server => "server",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::from_str(name, false).ok()
    }

    /// What it sets, by environment variable.
    pub(crate) fn defaults(self, machine: &Machine) -> Vec<(&'static str, String)> {
        let is_small = machine.cores <= ONE_AT_A_TIME.0 || machine.memory.is_some_and(|bytes| bytes < ONE_AT_A_TIME.1);
        let value = |env, value: &str| match env {
            "WORKER_CONCURRENCY" if is_small => "1".to_owned(),
            _ => value.to_owned(),
        };
        DEFAULTS.iter().map(|(env, values)| (*env, value(*env, values[self as usize]))).collect()
    }
}

/// What the profiles make of a setting, where they differ.
pub(crate) fn of_each(env: &str) -> Option<[&'static str; 3]> {
    let (_, values) = DEFAULTS.iter().find(|(known, _)| *known == env)?;
    Some(*values)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::super::schema;
    use super::{DEFAULTS, GB, Machine, Profile};

    #[test]
    fn machines_get_the_profile_that_fits_them() {
        for (cores, gigabytes, profile) in [
            (4, 2, Profile::Pi),
            (4, 8, Profile::Pi),
            (2, 1, Profile::Pi),
            (16, 1, Profile::Pi),
            (2, 24, Profile::Desktop),
            (8, 8, Profile::Desktop),
            (16, 64, Profile::Server),
        ] {
            assert_eq!(Profile::fitting(&Machine { cores, memory: Some(gigabytes * GB) }), profile);
        }
    }

    #[test]
    fn what_profiles_set_is_there_and_allowed() {
        let settings = schema::settings(&crate::cli::Cli::command());
        for (env, values) in DEFAULTS {
            let setting = settings.iter().find(|setting| setting.env == env).unwrap();
            for value in values {
                setting.check(&[value.to_owned()]).unwrap();
            }
            assert_eq!(setting.defaults(), [values[1]], "{env}: a desktop has the defaults");
        }
    }

    #[test]
    fn little_memory_or_one_core_is_one_batch_at_a_time() {
        let set = |cores, memory| Profile::Pi.defaults(&Machine { cores, memory: Some(memory) })[0].1.clone();
        assert_eq!([set(1, 4 * GB), set(4, GB - 1), set(4, GB)], ["1", "1", "2"]);
    }
}
