//! The `meshlite` command: the three planes, each alone or together, the demo, and tools for people.
//!
//! ```text
//! arguments, environment ─> args ─> config ─┬─> run: control plane, node, ingress
//!                                           ├─> demo: all three with backends on loopback
//!                                           ├─> preflight: what on this host is in the way of a node
//!                                           ├─> get, status, diff, explain: what is served, installed, rejected, and why
//!                                           ├─> migrate: what becomes of Ingresses made for ingress-nginx
//!                                           └─> completions, man: what shells and `man` read
//! ```
//!
//! Input: arguments and `MESHLITE_…` variables. Output: an exit status (0 success, 1 failure, 2 usage or configuration;
//! `status`, `diff`, `migrate`, `preflight`: 1 not all is as it should be, 2 nobody can know) and text. Nothing else reads
//! the environment but for `NO_COLOR` and `TERM`, and every mistake in it is reported at once.

mod args;
mod ask;
mod called;
mod clock;
mod complete;
mod config;
mod demo;
mod diff;
mod explain;
mod get;
mod manual;
mod migrate;
mod output;
mod preflight;
mod progress;
mod run;
mod sets;
mod status;
mod version;
mod watch;

use std::{env, future::Future, io::Write, process::ExitCode};

use clap::FromArgMatches as _;
use meshlite_runtime::logging::{self, LogFormat};

use crate::{
    args::{Cli, Command, GetCommand, GetWhat, LogArgs, NodeAction, NodeCommand, NodeInitArgs},
    called::Called,
    config::{ConfigError, NodeConfig, Problems},
    get::Kind,
    progress::Progress,
};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Usage or configuration: nothing was started. Also where `status` and its like do not know.
const USAGE: u8 = 2;

/// Why the command did not succeed.
enum Failure {
    Config(ConfigError),
    Run(anyhow::Error),
    /// What was asked for was printed: it is not as it should be.
    Differs,
    /// Whether it is as it should be cannot be known.
    Unknown(anyhow::Error),
}

fn main() -> ExitCode {
    let mut words = env::args_os();
    let called = Called::by(&words.next().unwrap_or_default());
    if called == Called::ToComplete {
        let words: Vec<_> = words
            .map(|word| word.to_string_lossy().into_owned())
            .collect();
        // kubectl has no use for a reason.
        drop(output::line(complete::answer(&words).trim_end()));
        return ExitCode::SUCCESS;
    }
    let cli = match parse(called) {
        Ok(cli) => cli,
        Err(help_or_mistake) => {
            let status = help_or_mistake.exit_code();
            // Where neither stream takes text there is nobody to tell.
            drop(help_or_mistake.print());
            return if status == 0 {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(USAGE)
            };
        }
    };
    if rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .is_err()
    {
        complain("another TLS provider is already installed");
        return ExitCode::FAILURE;
    }
    match dispatch(cli, called) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Config(error)) => {
            complain(&format!("{error}\nFor more, try --help."));
            ExitCode::from(USAGE)
        }
        Err(Failure::Run(error)) => {
            complain(&causes(&error));
            ExitCode::FAILURE
        }
        Err(Failure::Differs) => ExitCode::FAILURE,
        Err(Failure::Unknown(error)) => {
            complain(&causes(&error));
            ExitCode::from(USAGE)
        }
    }
}

/// The arguments of this process.
fn parse(called: Called) -> Result<Cli, clap::Error> {
    let mut command = called.command();
    let matches = command.try_get_matches_from_mut(env::args_os())?;
    Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

fn dispatch(cli: Cli, called: Called) -> Result<(), Failure> {
    let Cli { log, command } = cli;
    let level = match &command {
        // The demo shows findings itself.
        Command::Demo(_) => "error,meshlite_control_plane::findings=off",
        Command::Node(NodeCommand { action: Some(NodeAction::Sets(_)), .. })
        | Command::Get(_) | Command::Status(_) | Command::Diff(_) | Command::Explain(_)
        | Command::Migrate(_) | Command::Preflight(_) | Command::Completions(_) | Command::Man(_)
        | Command::Version(_) => "warn",
        Command::ControlPlane(_)
        | Command::Node(_)
        | Command::Ingress(_)
        // The client library logs each failed request, and bodies that it cannot read; the watches say it themselves.
        | Command::Standalone(_) => "info,kube_client=off",
    };
    let log = check_log(log, level);
    match command {
        Command::ControlPlane(args) => {
            let config = configured(log, config::control_plane(args))?;
            serve(run::control_plane(config))
        }
        Command::Node(args) => node(log, args),
        Command::Ingress(args) => {
            let config = configured(log, config::ingress(args))?;
            serve(run::ingress(config))
        }
        Command::Standalone(args) => {
            let config = configured(log, config::standalone(*args))?;
            serve(run::standalone(config))
        }
        Command::Demo(args) => {
            let check = args.check;
            let manifests = configured(log, config::manifests(args.manifests))?;
            block_on(demo::run(manifests, check))
        }
        Command::Get(GetCommand { what }) => get(log, what),
        Command::Preflight(args) => {
            let config = configured(log, config::preflight(*args))?;
            verdict(preflight::run(config))
        }
        Command::Status(args) => {
            let config = configured(log, config::status(args))?;
            as_it_should_be(status::run(config))
        }
        Command::Explain(args) => {
            let config = configured(log, config::explain(args))?;
            block_on(explain::run(config))
        }
        Command::Diff(args) => {
            let config = configured(log, config::diff(args))?;
            as_it_should_be(diff::run(config))
        }
        Command::Migrate(args) => {
            let config = configured(log, config::migrate(args))?;
            as_it_should_be(migrate::run(config))
        }
        Command::Completions(args) => {
            configured(log, Ok(()))?;
            printed(&complete::script(args.shell, called))
        }
        Command::Man(args) => {
            configured(log, Ok(()))?;
            printed(&manual::page(&args.command).map_err(Failure::Unknown)?)
        }
        Command::Version(args) => {
            let format = configured(log, version::format(args))?;
            version::print(format).map_err(Failure::Run)
        }
    }
}

fn node(log: Result<(LogFormat, String), ConfigError>, args: NodeCommand) -> Result<(), Failure> {
    let notices = match args.action {
        None => {
            let config = configured(log, config::node(args))?;
            return serve(run::node(config));
        }
        Some(NodeAction::Sets(args)) => {
            let config = configured(log, config::sets(args))?;
            return block_on(sets::run(config));
        }
        Some(NodeAction::Init(args)) => {
            let NodeInitArgs { host_root, node } = *args;
            let NodeConfig { node, remarks } = configured(log, config::node_init(node))?;
            run::say(&remarks);
            if let Some(root) = host_root {
                run::enter(&root).map_err(Failure::Run)?;
            }
            meshlite_node::init(&node)
        }
        Some(NodeAction::Cleanup(args)) => {
            configured(log, Ok(()))?;
            let _progress = Progress::of_unknown("removing what Meshlite programmed");
            meshlite_node::cleanup(args.keep_virtual_servers)
        }
    };
    for notice in &notices {
        output::line(&notice.text).map_err(|error| Failure::Run(error.into()))?;
    }
    if notices.iter().any(|notice| notice.is_failure) {
        return Err(Failure::Differs);
    }
    Ok(())
}

fn get(log: Result<(LogFormat, String), ConfigError>, what: GetWhat) -> Result<(), Failure> {
    let (kind, args) = match what {
        GetWhat::Snapshot(args) => {
            let config = configured(log, config::get_snapshot(args))?;
            return block_on(get::snapshot(config));
        }
        GetWhat::Services(args) => (Kind::Services, args),
        GetWhat::Endpoints(args) => (Kind::Endpoints, args),
        GetWhat::Routes(args) => (Kind::Routes, args),
        GetWhat::Certificates(args) => (Kind::Certificates, args),
    };
    let config = configured(log, config::get(args))?;
    block_on(get::objects(kind, config))
}

fn printed(text: &str) -> Result<(), Failure> {
    output::line(text.trim_end()).map_err(|error| Failure::Run(error.into()))
}

/// Runs what finds out whether all is as it should be.
fn as_it_should_be(work: impl Future<Output = anyhow::Result<bool>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Runtime::new().map_err(|error| Failure::Unknown(error.into()))?;
    verdict(runtime.block_on(work))
}

/// What it means that all is as it should be, that it is not, or that nobody knows.
fn verdict(is_so: anyhow::Result<bool>) -> Result<(), Failure> {
    match is_so {
        Ok(true) => Ok(()),
        Ok(false) => Err(Failure::Differs),
        Err(error) => Err(Failure::Unknown(error)),
    }
}

/// Starts logging and gives the configuration, or every mistake in both.
fn configured<T>(
    log: Result<(LogFormat, String), ConfigError>,
    config: Result<T, ConfigError>,
) -> Result<T, Failure> {
    let config = match (log, config) {
        (Ok((format, filter)), Ok(config)) => {
            logging::init(format, &filter).map_err(|error| Failure::Run(error.into()))?;
            config
        }
        (Err(log), Err(config)) => return Err(Failure::Config(log.and(config))),
        (Err(error), Ok(_)) | (Ok(_), Err(error)) => return Err(Failure::Config(error)),
    };
    Ok(config)
}

fn check_log(args: LogArgs, default: &str) -> Result<(LogFormat, String), ConfigError> {
    let LogArgs {
        log_format,
        log_level,
    } = args;
    let mut problems = Problems::default();
    let format = match log_format.as_str() {
        "text" => Some(LogFormat::Text),
        "json" => Some(LogFormat::Json),
        other => {
            problems.add("log-format", format_args!("`{other}` is not text or json"));
            None
        }
    };
    let level = log_level.unwrap_or_else(|| default.to_owned());
    if let Err(error) = logging::check_filter(&level) {
        problems.add("log-level", error);
    }
    problems.or(format.map(|format| (format, level)))
}

/// Runs a plane on threads of the runtime's own, where whatever wakes it mostly ran just before. This thread is none of
/// them: it would have to be woken each time, on another processor.
fn serve(plane: impl Future<Output = anyhow::Result<()>> + Send + 'static) -> Result<(), Failure> {
    block_on(async { tokio::spawn(plane).await? })
}

fn block_on(work: impl Future<Output = anyhow::Result<()>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Runtime::new().map_err(|error| Failure::Run(error.into()))?;
    runtime.block_on(work).map_err(Failure::Run)
}

/// An error with its causes. Some repeat theirs: once is enough.
fn causes(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// Says on standard error why nothing, or nothing more, happens.
fn complain(message: &str) {
    let mut out = std::io::stderr().lock();
    for line in message.lines() {
        // Where standard error is closed there is nobody to tell.
        drop(writeln!(out, "meshlite: {line}"));
    }
}
