//! The fleet's binaries as processes: built, started, asked, stopped.

#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "waits for other processes, in real time"
)]

use std::{
    collections::BTreeMap,
    fs::File,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};

/// All that is measured. Each selection of packages has features of its own, and so would have all their
/// dependencies compiled anew: there is one.
const PACKAGES: [&str; 4] = ["local-sqs", "order-api", "delivery-worker", "dlq-monitor"];

/// Builds what is measured as this program was built, and returns the folder that holds the binaries.
pub(crate) fn build() -> anyhow::Result<PathBuf> {
    let cargo = option_env!("CARGO").unwrap_or("cargo");
    let mut build = Command::new(cargo);
    build.args(["build", "--bins"]);
    // What cargo tells of the running package would have build scripts run again, and what depends on
    // them be compiled again, in turn with every run from the command line.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
        {
            build.env_remove(name);
        }
    }
    build.args(PACKAGES.iter().flat_map(|package| ["--package", package]));
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    ensure!(build.status()?.success(), "the build failed");
    let own = std::env::current_exe()?;
    Ok(own.parent().context("a binary lies in a folder")?.to_owned())
}

/// An address that is free, and stays so until it is listened on: its host is a loopback address of this
/// program's own, where no connection of anyone's begins, and no port of it is given out twice.
pub(crate) fn free_address() -> anyhow::Result<SocketAddr> {
    static NEXT: AtomicU16 = AtomicU16::new(10_000);
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    // 127.64.0.0/10, by the process's number, which has 22 bits.
    let host = Ipv4Addr::new(127, 0x40 | high, middle, low);
    loop {
        let port = NEXT.fetch_add(1, Ordering::Relaxed);
        ensure!(port >= 10_000, "{host} has no free port");
        match TcpListener::bind((host, port)) {
            Ok(listener) => return Ok(listener.local_addr()?),
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {}
            Err(error) => bail!("cannot listen on {host}:{port}: {error}"),
        }
    }
}

/// A process that is stopped when it goes out of scope.
pub(crate) struct Process {
    pub(crate) child: Child,
    /// What it says on standard error.
    log: Option<File>,
}

/// The processor that measured processes have to themselves: the last one.
pub(crate) fn measured_core() -> anyhow::Result<usize> {
    let cores = cores()?;
    ensure!(cores >= 2, "the measured process and the server each need a core");
    Ok(cores - 1)
}

/// Keeps this process, and those that it starts, off the core of the measured ones.
pub(crate) fn leave_the_measured_core() -> anyhow::Result<()> {
    let others = format!("0-{}", measured_core()? - 1);
    let own = std::process::id().to_string();
    let status = Command::new("taskset")
        .args(["--all-tasks", "--cpu-list", "--pid", &others, &own])
        .stdout(Stdio::null())
        .status()
        .context("taskset, of util-linux, is needed")?;
    ensure!(status.success(), "taskset cannot pin this process");
    Ok(())
}

/// How many there are, wherever this process may run.
pub(crate) fn cores() -> anyhow::Result<usize> {
    let info = std::fs::read_to_string("/proc/cpuinfo")?;
    Ok(info.lines().filter(|line| line.starts_with("processor")).count())
}

impl Process {
    pub(crate) fn start(binary: &Path, env: &BTreeMap<&str, String>) -> anyhow::Result<Self> {
        let log = tempfile::tempfile()?;
        let mut process = Self::start_with_log(binary, env, log.try_clone()?)?;
        process.log = Some(log);
        Ok(process)
    }

    /// Starts with the log, which a service writes to standard error, going somewhere.
    pub(crate) fn start_with_log(
        binary: &Path,
        env: &BTreeMap<&str, String>,
        log: impl Into<Stdio>,
    ) -> anyhow::Result<Self> {
        let child = Command::new(binary)
            .env_clear()
            .envs(env.iter().map(|(name, value)| (*name, value)))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        Ok(Self { child, log: None })
    }

    /// Starts a binary alone on the measured core.
    pub(crate) fn start_on_measured_core(
        binary: &Path,
        env: &BTreeMap<&str, String>,
    ) -> anyhow::Result<Self> {
        let log = tempfile::tempfile()?;
        let child = Command::new("taskset")
            .args(["--cpu-list", &measured_core()?.to_string()])
            .arg(binary)
            .env_clear()
            .envs(env.iter().map(|(name, value)| (*name, value)))
            .stdout(Stdio::null())
            .stderr(log.try_clone()?)
            .spawn()
            .context("taskset, of util-linux, is needed")?;
        Ok(Self { child, log: Some(log) })
    }

    /// Starts this very program in another role, alone on the measured core, with a conversation over its
    /// standard input and output.
    pub(crate) fn start_measured(arguments: &[&str]) -> anyhow::Result<Self> {
        let child = Command::new("taskset")
            .args(["--cpu-list", &measured_core()?.to_string()])
            .arg(std::env::current_exe()?)
            .args(arguments)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("taskset, of util-linux, is needed")?;
        Ok(Self { child, log: None })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its name, such as `TERM`, to a process that has not been waited for.
    pub(crate) fn signal(&self, name: &str) -> anyhow::Result<()> {
        let sent = Command::new("kill").args([format!("-{name}"), self.id().to_string()]).status();
        ensure!(sent.context("cannot run kill")?.success(), "cannot send SIG{name}");
        Ok(())
    }

    /// How the process ended; nothing while it runs.
    pub(crate) fn exited(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Resident memory in KiB, as Linux counts it.
    pub(crate) fn resident_kib(&self) -> anyhow::Result<u64> {
        self.status_kib("VmRSS:")
    }

    /// The most that this ever was.
    pub(crate) fn peak_kib(&self) -> anyhow::Result<u64> {
        self.status_kib("VmHWM:")
    }

    fn status_kib(&self, name: &str) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|line| line.split_whitespace().next());
        Ok(number.with_context(|| format!("{name} is in /proc/PID/status"))?.parse()?)
    }
}

impl Process {
    /// Processor time used so far, user and system, in the kernel's ticks of 10 ms.
    pub(crate) fn cpu_time(&self) -> anyhow::Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The name, in parentheses, may contain spaces; utime and stime are the 12th and 13th after it.
        let fields = stat.rsplit_once(')').context("/proc/PID/stat has a name")?.1;
        let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
        let ticks: u64 = ticks.sum::<Result<_, _>>()?;
        Ok(Duration::from_millis(ticks * 10))
    }
}

impl Process {
    /// Processor time used so far, to the nanosecond. Threads that have ended are left out, so it
    /// suits a process whose threads live as long as it does.
    pub(crate) fn exact_cpu_time(&self) -> anyhow::Result<Duration> {
        let mut nanos = 0;
        for thread in std::fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let Ok(stat) = std::fs::read_to_string(thread?.path().join("schedstat")) else {
                continue;
            };
            let running = stat.split_whitespace().next().context("schedstat has three numbers")?;
            nanos += running.parse::<u64>()?;
        }
        Ok(Duration::from_nanos(nanos))
    }

    /// Asks the process to end, as Kubernetes does, and says how long that took.
    pub(crate) fn terminate(&mut self) -> anyhow::Result<Duration> {
        let asked = Instant::now();
        let status = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status()?;
        ensure!(status.success(), "the process is gone already");
        let status = self.child.wait()?;
        ensure!(status.success(), "the process ended with {status}");
        Ok(asked.elapsed())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

impl Process {
    /// Waits until it answers `GET path` with 200.
    pub(crate) fn wait_until_ready(&mut self, addr: SocketAddr, path: &str) -> anyhow::Result<()> {
        let started = Instant::now();
        loop {
            let answer = status(addr, path);
            if answer == Some(200) {
                return Ok(());
            }
            if let Some(ended) = self.exited()? {
                bail!("what was to answer {addr}{path} ended with {ended}{}", self.last_words()?);
            }
            ensure!(
                started.elapsed() < Duration::from_secs(20),
                "{addr}{path} does not become ready; its last answer: {answer:?}{}",
                self.last_words()?
            );
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// The end of its log, for a person to read.
    fn last_words(&self) -> anyhow::Result<String> {
        const MOST: u64 = 4096;
        let Some(log) = &self.log else { return Ok(String::new()) };
        let length = log.metadata()?.len();
        let mut end = vec![0; length.min(MOST) as usize];
        log.read_exact_at(&mut end, length.saturating_sub(MOST))?;
        Ok(format!("; its log ends with\n{}", String::from_utf8_lossy(&end)))
    }
}

/// The status of `GET path`, nothing while nobody answers.
pub(crate) fn status(addr: SocketAddr, path: &str) -> Option<u16> {
    let mut stream = TcpStream::connect_timeout(&addr, Duration::from_secs(1)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.split_whitespace().nth(1)?.parse().ok()
}
