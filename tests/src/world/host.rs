//! A host of the world: a namespace with a name and an address of each family.

use std::{
    fs,
    io::Write as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    process::{Command, Stdio},
};

use socket2::{Domain, Socket, Type};

use super::{Error, Namespace};

/// What a socket speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP, one-to-one. Not every kernel has it.
    Sctp,
}

/// IPv4 or IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// A node, a pod, the client.
#[derive(Debug)]
pub struct Host {
    pub(super) name: String,
    pub(super) v4: Ipv4Addr,
    pub(super) v6: Ipv6Addr,
    pub(super) namespace: Namespace,
}

// === impl Protocol ===

impl Protocol {
    /// Those that this kernel has.
    pub fn supported() -> impl Iterator<Item = Self> {
        let all = [Self::Tcp, Self::Udp, Self::Sctp];
        all.into_iter()
            .filter(|protocol| protocol.socket(Family::V4).is_ok())
    }

    /// A socket in the namespace of this thread.
    pub(super) fn socket(self, family: Family) -> std::io::Result<Socket> {
        let domain = match family {
            Family::V4 => Domain::IPV4,
            Family::V6 => Domain::IPV6,
        };
        let (kind, protocol) = match self {
            Self::Tcp => (Type::STREAM, socket2::Protocol::TCP),
            Self::Udp => (Type::DGRAM, socket2::Protocol::UDP),
            Self::Sctp => (Type::STREAM, socket2::Protocol::SCTP),
        };
        Socket::new(domain, kind, Some(protocol))
    }
}

// === impl Family ===

impl Family {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::V4, Self::V6];

    /// That of an address.
    pub fn of(address: SocketAddr) -> Self {
        if address.is_ipv4() {
            Self::V4
        } else {
            Self::V6
        }
    }

    /// Its unspecified address.
    pub(super) fn any(self) -> IpAddr {
        match self {
            Self::V4 => Ipv4Addr::UNSPECIFIED.into(),
            Self::V6 => Ipv6Addr::UNSPECIFIED.into(),
        }
    }
}

// === impl Host ===

impl Host {
    /// A host without devices.
    pub(super) fn new(name: String, v4: Ipv4Addr, v6: Ipv6Addr) -> Result<Self, Error> {
        let namespace = Namespace::new()?;
        Ok(Self {
            name,
            v4,
            v6,
            namespace,
        })
    }

    /// Its name, which its servers answer with.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its address.
    pub fn ip(&self, family: Family) -> IpAddr {
        match family {
            Family::V4 => self.v4.into(),
            Family::V6 => self.v6.into(),
        }
    }

    /// A port of its address.
    pub fn at(&self, family: Family, port: u16) -> SocketAddr {
        (self.ip(family), port).into()
    }

    /// Where it is.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Runs `ip -batch` with these lines on it.
    pub fn ip_batch(&self, lines: &str) -> Result<(), Error> {
        self.feed(Command::new("ip").args(["-batch", "-"]), lines)
            .map(drop)
    }

    /// Runs a command on it, and gives what it printed.
    pub fn output(&self, program: &str, arguments: &[&str]) -> Result<String, Error> {
        self.output_of(program, arguments, "")
    }

    /// The same with something on its input.
    pub fn output_of(
        &self,
        program: &str,
        arguments: &[&str],
        input: &str,
    ) -> Result<String, Error> {
        self.feed(Command::new(program).args(arguments), input)
    }

    fn feed(&self, command: &mut Command, input: &str) -> Result<String, Error> {
        let program = command.get_program().to_string_lossy().into_owned();
        let run = || {
            let mut child = command
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()?;
            // A command that ends before it has read everything says why.
            if let Some(mut stdin) = child.stdin.take() {
                stdin.write_all(input.as_bytes()).ok();
            }
            child.wait_with_output()
        };
        let output = self.namespace.run(run);
        let output = output.map_err(|error| Error::NotStarted(program, error))?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(said);
        }
        Err(Error::Command {
            host: self.name.clone(),
            command: format!("{command:?}"),
            said: format!("{said}{}", String::from_utf8_lossy(&output.stderr)),
        })
    }

    /// Writes a setting below `/proc/sys`.
    pub fn set(&self, setting: &'static str, value: &str) -> Result<(), Error> {
        let path = format!("/proc/sys/{setting}");
        let written = self.namespace.run(|| fs::write(path, value));
        written.map_err(|error| Error::Setting {
            host: self.name.clone(),
            setting,
            error,
        })
    }
}
