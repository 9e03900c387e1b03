//! A PostgreSQL server of its own for tests and measurements.
//!
//! A [`Server`] is made of the machine's binaries (Debian: `postgresql`) in a temporary directory and
//! listens on a Unix socket there, so nothing of the machine's own servers is touched and no port is
//! taken. It can be stopped and started again, as a server in trouble is. Since PostgreSQL refuses to
//! run as root, root's servers run as the user `postgres`.
//!
//! Calls block: some hundred milliseconds, or seconds for the first start.

use std::{
    io,
    os::unix::{
        fs::{MetadataExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU32, Ordering},
    },
};

use tempfile::TempDir;

/// The superuser, who needs no password.
const USER: &str = "fleet";

/// What distinguishes a test's server from one that keeps data: it is small, and it takes more
/// connections than a test has.
const SETTINGS: &str =
    "-c listen_addresses= -c max_connections=100 -c shared_buffers=32MB -c autovacuum_naptime=5s";

/// A running server, which goes away with its data when it is dropped.
#[derive(Debug)]
pub struct Server {
    directory: TempDir,
    binaries: PathBuf,
    owner: Option<Owner>,
    databases: AtomicU32,
}

#[derive(Clone, Copy, Debug)]
struct Owner {
    uid: u32,
    gid: u32,
}

impl Server {
    /// Makes a server and starts it. The error says what is missing.
    pub fn start() -> io::Result<Self> {
        let binaries = binaries()?;
        let owner = owner()?;
        let directory = tempfile::Builder::new().prefix("local-postgres-").tempdir()?;
        if let Some(Owner { uid, gid }) = owner {
            chown(directory.path(), Some(uid), Some(gid))?;
        }
        let server = Self { directory, binaries, owner, databases: AtomicU32::new(0) };
        let data = server.data();
        // Nothing need survive the machine while the files are made; what is committed later must
        // survive the server.
        let made =
            ["--no-sync", "--encoding=UTF8", "--locale=C", "--auth=trust", "--username", USER];
        server.run("initdb", &[&made[..], &["-D", path(&data)?]].concat())?;
        server.start_again()?;
        Ok(server)
    }

    /// The server that others use at this moment, or a new one. Everyone has a database of their own in
    /// it; it goes away with the last one.
    pub fn shared() -> io::Result<Arc<Self>> {
        static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = shared.upgrade() {
            return Ok(server);
        }
        let server = Arc::new(Self::start()?);
        *shared = Arc::downgrade(&server);
        Ok(server)
    }

    /// Makes an empty database and returns its URL.
    pub fn create_database(&self) -> io::Result<String> {
        let name = format!("test{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let socket = self.socket()?.to_owned();
        self.run("createdb", &["-h", &socket, "-U", USER, &name])?;
        Ok(format!("postgres://{USER}@localhost/{name}?host={socket}"))
    }

    /// Stops the server: `immediate` as a crash does, otherwise with the connections ended in order.
    pub fn stop(&self, immediate: bool) -> io::Result<()> {
        let mode = if immediate { "immediate" } else { "fast" };
        self.run("pg_ctl", &["stop", "-w", "-m", mode, "-D", path(&self.data())?]).map(|_| ())
    }

    /// Starts the server after a stop, and waits until it takes connections.
    pub fn start_again(&self) -> io::Result<()> {
        let options = format!("-k {} {SETTINGS}", self.socket()?);
        let log = self.directory.path().join("log");
        let data = self.data();
        let arguments =
            ["start", "-w", "-t", "60", "-D", path(&data)?, "-l", path(&log)?, "-o", &options];
        self.run("pg_ctl", &arguments).map(|_| ())
    }

    /// What the server has logged, for the messages of failed tests.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn socket(&self) -> io::Result<&str> {
        path(self.directory.path())
    }

    fn run(&self, program: &str, arguments: &[&str]) -> io::Result<Output> {
        let mut command = Command::new(self.binaries.join(program));
        command.args(arguments).current_dir(self.directory.path());
        if let Some(Owner { uid, gid }) = self.owner {
            command.uid(uid).gid(gid);
        }
        // What the server inherits would keep a pipe open as long as it runs.
        let said = tempfile::tempfile()?;
        let output = command.stdout(said.try_clone()?).stderr(said.try_clone()?).output()?;
        if output.status.success() {
            return Ok(output);
        }
        Err(io::Error::other(format!("{program} {arguments:?} failed: {}", read(said)?)))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be stopped already.
        _ = self.stop(true);
    }
}

fn read(mut file: std::fs::File) -> io::Result<String> {
    use std::io::{Read as _, Seek as _};
    file.rewind()?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok(text)
}

/// Debian keeps each version's servers in a folder of their own, outside of `PATH`: the newest one.
fn binaries() -> io::Result<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .filter(|(_, folder)| folder.join("initdb").exists())
        .collect();
    versions.sort();
    if let Some((_, newest)) = versions.pop() {
        return Ok(newest);
    }
    let found = Command::new("sh").args(["-c", "command -v initdb"]).output()?;
    let found = String::from_utf8_lossy(&found.stdout).trim().to_owned();
    let folder = Path::new(&found).parent().filter(|_| !found.is_empty());
    folder.map(Path::to_owned).ok_or_else(|| {
        io::Error::other("PostgreSQL's server is missing (Debian: apt-get install postgresql)")
    })
}

/// Whom the server runs as, when this process is root's.
fn owner() -> io::Result<Option<Owner>> {
    if std::fs::metadata("/proc/self")?.uid() != 0 {
        return Ok(None);
    }
    let accounts = std::fs::read_to_string("/etc/passwd")?;
    let account = accounts.lines().find_map(|line| {
        let mut fields = line.strip_prefix("postgres:")?.split(':').skip(1);
        let uid = fields.next()?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(Owner { uid, gid })
    });
    account.map(Some).ok_or_else(|| {
        io::Error::other("PostgreSQL does not run as root, and there is no user postgres to run it")
    })
}

fn path(path: &Path) -> io::Result<&str> {
    path.to_str().ok_or_else(|| io::Error::other("the temporary directory's name is not UTF-8"))
}
