//! Requests to bytes.

use std::net::IpAddr;

use meshlite_netlink::{Writer, flags};

use super::uapi;
use crate::{
    Change, Destination, DestinationKey, DestinationSettings, Family, Forwarding, Query,
    ServiceKey, ServiceSettings, Timeouts, Tunnel, TunnelChecksum,
};

/// What a request says beside what it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The number of the IPVS family, which the kernel gives anew at each boot: see [`encode_find_family`].
    pub family: u16,
    /// Comes back in every message of the answer.
    pub sequence: u32,
    /// Whether the kernel is to answer success as well. It answers failure always.
    pub acknowledge: bool,
}

impl Change {
    /// Writes the change to the end of `out`, as one message. Several may follow each other and be sent at once.
    pub fn encode(&self, header: Header, out: &mut Vec<u8>) {
        let request = if header.acknowledge {
            flags::NLM_F_REQUEST | flags::NLM_F_ACK
        } else {
            flags::NLM_F_REQUEST
        };
        let mut message = begin(out, header.family, request, header.sequence, self.command());
        match self {
            Self::AddService(service) | Self::EditService(service) => {
                put_service(&mut message, &service.key, Some(&service.settings));
            }
            Self::DeleteService(key) | Self::Zero(key) => put_service(&mut message, key, None),
            Self::AddDestination(service, Destination { key, settings })
            | Self::EditDestination(service, Destination { key, settings }) => {
                put_service(&mut message, service, None);
                put_destination(&mut message, key, Some(settings));
            }
            Self::DeleteDestination(service, key) => {
                put_service(&mut message, service, None);
                put_destination(&mut message, key, None);
            }
            Self::SetTimeouts(Timeouts { tcp, tcp_fin, udp }) => {
                message.put_u32_ne(uapi::IPVS_CMD_ATTR_TIMEOUT_TCP, *tcp);
                message.put_u32_ne(uapi::IPVS_CMD_ATTR_TIMEOUT_TCP_FIN, *tcp_fin);
                message.put_u32_ne(uapi::IPVS_CMD_ATTR_TIMEOUT_UDP, *udp);
            }
            Self::ZeroAll | Self::Flush => {}
        }
        end(message);
    }

    fn command(&self) -> u8 {
        match self {
            Self::AddService(_) => uapi::IPVS_CMD_NEW_SERVICE,
            Self::EditService(_) => uapi::IPVS_CMD_SET_SERVICE,
            Self::DeleteService(_) => uapi::IPVS_CMD_DEL_SERVICE,
            Self::AddDestination(..) => uapi::IPVS_CMD_NEW_DEST,
            Self::EditDestination(..) => uapi::IPVS_CMD_SET_DEST,
            Self::DeleteDestination(..) => uapi::IPVS_CMD_DEL_DEST,
            Self::SetTimeouts(_) => uapi::IPVS_CMD_SET_CONFIG,
            Self::Zero(_) | Self::ZeroAll => uapi::IPVS_CMD_ZERO,
            Self::Flush => uapi::IPVS_CMD_FLUSH,
        }
    }
}

impl Query {
    /// Writes the question to the end of `out`, as one message. A socket can have one list under way at a time.
    pub fn encode(&self, header: Header, out: &mut Vec<u8>) {
        let mut request = flags::NLM_F_REQUEST;
        if header.acknowledge {
            request |= flags::NLM_F_ACK;
        }
        if self.is_list() {
            request |= flags::NLM_F_DUMP;
        }
        let command = match self {
            Self::Info => uapi::IPVS_CMD_GET_INFO,
            Self::Timeouts => uapi::IPVS_CMD_GET_CONFIG,
            Self::Service(_) | Self::Services => uapi::IPVS_CMD_GET_SERVICE,
            Self::Destinations(_) => uapi::IPVS_CMD_GET_DEST,
        };
        let mut message = begin(out, header.family, request, header.sequence, command);
        if let Self::Service(key) | Self::Destinations(key) = self {
            put_service(&mut message, key, None);
        }
        end(message);
    }
}

/// Writes the question for the number of the IPVS family; [`decode_family`](super::decode_family) reads the answer.
pub fn encode_find_family(sequence: u32, out: &mut Vec<u8>) {
    let mut message = begin(
        out,
        uapi::GENL_ID_CTRL,
        flags::NLM_F_REQUEST,
        sequence,
        uapi::CTRL_CMD_GETFAMILY,
    );
    message.put(uapi::CTRL_ATTR_FAMILY_NAME, uapi::IPVS_GENL_NAME);
    end(message);
}

/// Writes the headers of netlink and generic netlink.
fn begin(out: &mut Vec<u8>, kind: u16, flags: u16, sequence: u32, command: u8) -> Writer<'_> {
    let header = meshlite_netlink::Header {
        kind,
        flags,
        sequence,
    };
    Writer::begin(out, header, &[command, uapi::GENL_VERSION, 0, 0])
}

/// Fills in the length. No request of IPVS is as long as to have one that cannot be said.
fn end(message: Writer<'_>) {
    message.end().unwrap_or_default();
}

/// A service: what identifies it, and, where it is added or edited, its settings.
fn put_service(message: &mut Writer<'_>, key: &ServiceKey, settings: Option<&ServiceSettings>) {
    message.nest(uapi::IPVS_CMD_ATTR_SERVICE, |service| {
        service.put_u16_ne(uapi::IPVS_SVC_ATTR_AF, family_number(key.family()));
        match key {
            ServiceKey::Address {
                protocol,
                address,
                port,
            } => {
                service.put_u16_ne(uapi::IPVS_SVC_ATTR_PROTOCOL, protocol.number().into());
                service.put_array(uapi::IPVS_SVC_ATTR_ADDR, address_bytes(*address));
                service.put_u16_be(uapi::IPVS_SVC_ATTR_PORT, *port);
            }
            ServiceKey::Mark { mark, .. } => {
                service.put_u32_ne(uapi::IPVS_SVC_ATTR_FWMARK, mark.get());
            }
        }
        if let Some(settings) = settings {
            put_service_settings(service, settings, key.family());
        }
    });
}

fn put_service_settings(service: &mut Writer<'_>, settings: &ServiceSettings, family: Family) {
    let ServiceSettings {
        scheduler,
        flags,
        persistence,
    } = settings;
    service.put_str(uapi::IPVS_SVC_ATTR_SCHED_NAME, scheduler.as_str());
    if let Some(engine) = persistence.and_then(|p| p.engine) {
        service.put_str(uapi::IPVS_SVC_ATTR_PE_NAME, engine.as_str());
    }
    let mut bits = flags.bits() & !(uapi::IP_VS_SVC_F_PERSISTENT | uapi::IP_VS_SVC_F_HASHED);
    if persistence.is_some() {
        bits |= uapi::IP_VS_SVC_F_PERSISTENT;
    }
    // struct ip_vs_flags: the flags, and which of them are meant, which is all.
    let mut both = [0xff; 8];
    both[..4].copy_from_slice(&bits.to_ne_bytes());
    service.put_array(uapi::IPVS_SVC_ATTR_FLAGS, both);
    let timeout = persistence.map_or(0, |p| p.timeout);
    service.put_u32_ne(uapi::IPVS_SVC_ATTR_TIMEOUT, timeout);
    // The kernel wants a mask that is right for the family even where nothing persists.
    let mask = persistence.unwrap_or(crate::Persistence::per_address(family, 0));
    service.put(uapi::IPVS_SVC_ATTR_NETMASK, &mask.netmask(family));
}

/// A destination: what identifies it, and, where it is added or edited, its settings.
fn put_destination(
    message: &mut Writer<'_>,
    key: &DestinationKey,
    settings: Option<&DestinationSettings>,
) {
    message.nest(uapi::IPVS_CMD_ATTR_DEST, |destination| {
        let family = Family::of(key.address);
        destination.put_u16_ne(uapi::IPVS_DEST_ATTR_ADDR_FAMILY, family_number(family));
        destination.put_array(uapi::IPVS_DEST_ATTR_ADDR, address_bytes(key.address));
        destination.put_u16_be(uapi::IPVS_DEST_ATTR_PORT, key.port);
        if let Some(settings) = settings {
            put_destination_settings(destination, settings);
        }
    });
}

fn put_destination_settings(destination: &mut Writer<'_>, settings: &DestinationSettings) {
    let DestinationSettings {
        forwarding,
        weight,
        upper_threshold,
        lower_threshold,
    } = settings;
    let method = match forwarding {
        Forwarding::Masquerade => uapi::IP_VS_CONN_F_MASQ,
        Forwarding::Local => uapi::IP_VS_CONN_F_LOCALNODE,
        Forwarding::Tunnel(_) => uapi::IP_VS_CONN_F_TUNNEL,
        Forwarding::Route => uapi::IP_VS_CONN_F_DROUTE,
        Forwarding::Bypass => uapi::IP_VS_CONN_F_BYPASS,
    };
    destination.put_u32_ne(uapi::IPVS_DEST_ATTR_FWD_METHOD, method);
    destination.put_u32_ne(uapi::IPVS_DEST_ATTR_WEIGHT, *weight);
    if let Forwarding::Tunnel(tunnel) = forwarding {
        let (kind, port, checksum) = match *tunnel {
            Tunnel::Ipip => (uapi::IP_VS_CONN_F_TUNNEL_TYPE_IPIP, 0, TunnelChecksum::None),
            Tunnel::Gue { port, checksum } => (uapi::IP_VS_CONN_F_TUNNEL_TYPE_GUE, port, checksum),
            Tunnel::Gre { checksum } => (uapi::IP_VS_CONN_F_TUNNEL_TYPE_GRE, 0, checksum),
        };
        let flags = match checksum {
            TunnelChecksum::None => uapi::IP_VS_TUNNEL_ENCAP_FLAG_NOCSUM,
            TunnelChecksum::Full => uapi::IP_VS_TUNNEL_ENCAP_FLAG_CSUM,
            TunnelChecksum::Remote => uapi::IP_VS_TUNNEL_ENCAP_FLAG_REMCSUM,
        };
        destination.put_array(uapi::IPVS_DEST_ATTR_TUN_TYPE, [kind]);
        destination.put_u16_be(uapi::IPVS_DEST_ATTR_TUN_PORT, port);
        destination.put_u16_ne(uapi::IPVS_DEST_ATTR_TUN_FLAGS, flags);
    }
    destination.put_u32_ne(uapi::IPVS_DEST_ATTR_U_THRESH, *upper_threshold);
    destination.put_u32_ne(uapi::IPVS_DEST_ATTR_L_THRESH, *lower_threshold);
}

fn family_number(family: Family) -> u16 {
    match family {
        Family::V4 => uapi::AF_INET,
        Family::V6 => uapi::AF_INET6,
    }
}

/// An address as `union nf_inet_addr`: an IPv4 address is followed by zeros.
fn address_bytes(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&v4.octets());
            bytes
        }
        IpAddr::V6(v6) => v6.octets(),
    }
}
