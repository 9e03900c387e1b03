//! How many files, and hence connections, the process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that a service needs beside its clients' connections: those to SQS, to a database or a
/// carrier, and of its admin listener.
const OTHERS: usize = 512;

/// Raises the soft limit to the hard one. The soft one, of 1,024 usually, is there for programs
/// that use `select` (systemd.exec(5), `LimitNOFILE=`); none of ours does.
pub(crate) fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::warn!(%error, ?limit, "the limit of open files cannot be raised");
    }
}

/// As many of the connections as the process may have open, with a warning where that is fewer.
pub(crate) fn connections(wanted: usize) -> usize {
    let Some(files) = getrlimit(Resource::Nofile).current else { return wanted };
    let most = most_connections(files);
    if wanted > most {
        tracing::warn!(
            wanted,
            connections = most,
            files,
            "fewer connections are served at once than are set: too few files may be open"
        );
    }
    wanted.min(most)
}

fn most_connections(files: u64) -> usize {
    let files = usize::try_from(files).unwrap_or(usize::MAX);
    (files - OTHERS.min(files / 2)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_for_others_and_half_of_them_where_they_are_few() {
        assert_eq!(most_connections(10_512), 10_000);
        assert_eq!(most_connections(1024), 512);
        assert_eq!(most_connections(100), 50);
        assert_eq!(most_connections(0), 1);
    }
}
