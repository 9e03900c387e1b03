//! The life of a binary, from the command line to the exit code.

use crate::{
    BindError, Shutdown, ShutdownTrigger, open_files,
    settings::{Problems, Reader, Setting, settings_help},
    telemetry::Telemetry,
};
use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt::Write as _,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Wrong settings or arguments (`EX_USAGE` of BSD's sysexits.h).
const EXIT_USAGE: u8 = 64;
/// A listener could not be bound (`EX_UNAVAILABLE`).
const EXIT_UNAVAILABLE: u8 = 69;
/// Aborted by a second signal (128 + SIGINT, as shells report it).
const EXIT_ABORTED: i32 = 130;

/// What makes one binary different from the next.
#[derive(Debug)]
pub struct Program<Settings, Run> {
    /// The binary's name, also in logs and traces.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// What it does, one sentence.
    pub about: &'static str,
    /// Its settings; the [`crate::settings::common`] rows are among them.
    pub table: fn() -> Vec<Setting>,
    /// Command-line options that stand for settings. They win over the environment.
    pub flags: &'static [Flag],
    /// Reads them.
    pub read: fn(&mut Reader) -> Settings,
    /// Builds the service and runs it until the shutdown is requested and the drain is done.
    pub run: Run,
}

/// A command-line option that stands for a setting.
#[derive(Clone, Copy, Debug)]
pub struct Flag {
    /// As it is written, such as `--data-dir`.
    pub option: &'static str,
    /// The setting's name.
    pub setting: &'static str,
    /// What the option says where it is given no value; `None` where it needs one.
    pub alone: Option<&'static str>,
}

/// The whole of a binary's `main`.
///
/// Exit codes: 0 after a clean stop; 64 for wrong settings or arguments, all of them listed, with
/// nothing bound; 69 when a listener's address is taken; 1 for any other error, printed once with
/// its causes; 130 when a second signal aborted the drain.
pub fn run<Settings, Run, Running>(program: Program<Settings, Run>) -> ExitCode
where
    Run: FnOnce(Settings, Shutdown) -> Running,
    Running: Future<Output = anyhow::Result<()>>,
{
    let arguments = match Arguments::parse(std::env::args_os().skip(1), program.flags) {
        Ok(arguments) => arguments,
        Err(wrong) => {
            let usage = usage(&program);
            say(&mut io::stderr(), &format!("{}: {wrong}\n\n{usage}", program.name));
            return ExitCode::from(EXIT_USAGE);
        }
    };
    match arguments.wanted {
        Wanted::Help => {
            let rows = settings_help(&(program.table)());
            say(&mut io::stdout(), &format!("{}\nSETTINGS\n{rows}", usage(&program)));
            return ExitCode::SUCCESS;
        }
        Wanted::Version => {
            say(&mut io::stdout(), &format!("{} {}\n", program.name, program.version));
            return ExitCode::SUCCESS;
        }
        Wanted::Check | Wanted::Run => {}
    }
    let settings = read(&program, &arguments);
    let (settings, telemetry) = match settings {
        Ok(_) if arguments.wanted == Wanted::Check => {
            say(&mut io::stdout(), "settings are valid\n");
            return ExitCode::SUCCESS;
        }
        Ok(read) => read,
        Err(problems) => {
            say(&mut io::stderr(), &format!("{}: {problems}\n", program.name));
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(program.name, &error.into()),
    };
    let telemetry =
        match Telemetry::install(program.name, program.version, &telemetry, runtime.handle()) {
            Ok(telemetry) => telemetry,
            Err(error) => return failed(program.name, &error),
        };
    open_files::raise_limit();
    let outcome = runtime.block_on(async {
        let (trigger, shutdown) = Shutdown::new();
        let signals = Signals::install()?;
        tokio::spawn(signals.watch(trigger));
        (program.run)(settings, shutdown).await
    });
    let code = match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(program.name, &error),
    };
    // Last of all, so that the spans of the drain are sent too; the runtime still carries the calls.
    telemetry.flush();
    // Nothing that matters is left: a blocked thread (a name lookup, say) need not be waited for.
    runtime.shutdown_background();
    code
}

type Read<Settings> = Result<(Settings, crate::settings::TelemetrySettings), Problems>;

fn read<Settings, Run>(program: &Program<Settings, Run>, arguments: &Arguments) -> Read<Settings> {
    let (file, flags) = (arguments.file.as_deref(), arguments.settings.clone());
    read_settings((program.table)(), file, flags, |reader| {
        let telemetry = reader.telemetry();
        ((program.read)(reader), telemetry)
    })
}

/// Reads the settings of a table from a file, the environment, and what the command line says, the later
/// ones over the earlier.
pub fn read_settings<Settings>(
    table: Vec<Setting>,
    file: Option<&Path>,
    flags: impl IntoIterator<Item = (String, String)>,
    read: impl FnOnce(&mut Reader) -> Settings,
) -> Result<Settings, Problems> {
    let lossy = |text: OsString| text.to_string_lossy().into_owned();
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    let mut env: BTreeMap<String, String> =
        std::env::vars_os().map(|(name, value)| (lossy(name), lossy(value))).collect();
    env.extend(flags);
    let mut reader = Reader::load(table, file, env);
    let settings = read(&mut reader);
    reader.finish(settings)
}

fn failed(name: &str, error: &anyhow::Error) -> ExitCode {
    say(&mut io::stderr(), &format!("{name}: {error:#}\n"));
    let taken = error.chain().any(<dyn std::error::Error>::is::<BindError>);
    ExitCode::from(if taken { EXIT_UNAVAILABLE } else { 1 })
}

/// Writes and forgets: a closed pipe is not worth a second error.
fn say(to: &mut impl Write, text: &str) {
    let _ = to.write_all(text.as_bytes());
    let _ = to.flush();
}

fn usage<Settings, Run>(program: &Program<Settings, Run>) -> String {
    let Program { name, version, about, .. } = program;
    let mut own = String::new();
    for Flag { option, setting, alone } in program.flags {
        // Writing to a string does not fail.
        let _ = match alone {
            None => {
                let option = format!("{option} VALUE");
                writeln!(own, "  {option:<15} the same as the setting {setting}")
            }
            Some(value) => {
                writeln!(own, "  {option:<15} the same as {value} for the setting {setting}")
            }
        };
    }
    format!(
        "{name} {version}: {about}\n\n\
         Usage: {name} [OPTIONS]\n\n\
         OPTIONS\n{own}\
         \x20 --config FILE   read settings from a TOML file, names in lower case; the environment wins\n\
         \x20 --check-config  only check the settings: exit 0, or 64 with every problem\n\
         \x20 --version       print the version\n\
         \x20 --help          print this text and the settings\n"
    )
}

/// The command line.
#[derive(Debug, PartialEq, Eq)]
struct Arguments {
    wanted: Wanted,
    file: Option<PathBuf>,
    /// Settings given by a program's own flags.
    settings: Vec<(String, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Run,
    Check,
    Version,
    Help,
}

impl Arguments {
    fn parse(
        arguments: impl IntoIterator<Item = OsString>,
        flags: &[Flag],
    ) -> Result<Self, String> {
        let mut parsed = Self { wanted: Wanted::Run, file: None, settings: Vec::new() };
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            match argument.to_str() {
                // Asked for at any place, help and version win over whatever else is wrong.
                Some("--help" | "-h") => {
                    return Ok(Self { wanted: Wanted::Help, ..parsed });
                }
                Some("--version" | "-V") => {
                    return Ok(Self { wanted: Wanted::Version, ..parsed });
                }
                Some("--check-config") => parsed.wanted = Wanted::Check,
                Some("--config") => {
                    let file = arguments.next().ok_or("--config needs a file")?;
                    parsed.file = Some(file.into());
                }
                Some(option) if option.starts_with("--config=") => {
                    parsed.file = Some(option["--config=".len()..].into());
                }
                other => {
                    let unknown = || format!("unknown argument {}", argument.display());
                    let text = other.ok_or_else(unknown)?;
                    let (flag, given) = match text.split_once('=') {
                        Some((flag, value)) => (flag, Some(OsString::from(value))),
                        None => (text, None),
                    };
                    let known = flags.iter().find(|known| known.option == flag);
                    let Flag { setting, alone, .. } = known.ok_or_else(unknown)?;
                    let value = given
                        .or_else(|| alone.map(OsString::from))
                        .or_else(|| arguments.next())
                        .ok_or_else(|| format!("{flag} needs a value"))?;
                    let value = value.to_string_lossy().into_owned();
                    parsed.settings.push(((*setting).to_owned(), value));
                }
            }
        }
        Ok(parsed)
    }
}

/// SIGTERM, as Kubernetes stops a pod, and SIGINT, as a terminal does.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn install() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "skipping the drain is what a second signal asks for"
    )]
    async fn watch(mut self, trigger: ShutdownTrigger) {
        let name = self.next().await;
        tracing::info!(signal = name, "stopping; a second signal aborts");
        trigger.request();
        let name = self.next().await;
        tracing::warn!(signal = name, "aborted by a second signal");
        std::process::exit(EXIT_ABORTED);
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAGS: [Flag; 2] = [
        Flag { option: "--data-dir", setting: "DATA_DIR", alone: None },
        Flag { option: "--observe", setting: "OBSERVE", alone: Some("true") },
    ];

    fn parse(line: &str) -> Result<Arguments, String> {
        Arguments::parse(line.split_whitespace().map(OsString::from), &FLAGS)
    }

    #[test]
    fn without_arguments_the_program_runs() {
        assert_eq!(parse(""), Ok(Arguments { wanted: Wanted::Run, file: None, settings: vec![] }));
    }

    #[test]
    fn the_file_is_taken_in_both_spellings() {
        let expected =
            Arguments { wanted: Wanted::Check, file: Some("a.toml".into()), settings: vec![] };
        assert_eq!(parse("--check-config --config a.toml").as_ref(), Ok(&expected));
        assert_eq!(parse("--config=a.toml --check-config"), Ok(expected));
    }

    #[test]
    fn a_programs_own_flag_stands_for_a_setting_in_both_spellings() {
        for line in ["--data-dir x", "--data-dir=x"] {
            let parsed = parse(line).unwrap();
            assert_eq!(parsed.settings, [("DATA_DIR".to_owned(), "x".to_owned())]);
        }
        assert_eq!(parse("--data-dir"), Err("--data-dir needs a value".to_owned()));
    }

    #[test]
    fn a_flag_that_can_stand_alone_takes_nothing_of_what_follows() {
        let parsed = parse("--observe --data-dir x").unwrap();
        let of = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(parsed.settings, [of("OBSERVE", "true"), of("DATA_DIR", "x")]);
        assert_eq!(parse("--observe=false").unwrap().settings, [of("OBSERVE", "false")]);
    }

    #[test]
    fn unknown_and_incomplete_arguments_are_named() {
        assert_eq!(parse("--confg a"), Err("unknown argument --confg".to_owned()));
        assert_eq!(parse("extra"), Err("unknown argument extra".to_owned()));
        assert_eq!(parse("--config"), Err("--config needs a file".to_owned()));
    }
}
