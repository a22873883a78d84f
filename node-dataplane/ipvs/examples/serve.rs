//! Adds a service and its destinations, or makes them as they should be: `serve 10.96.0.10:53 10.244.0.2:53 10.244.0.3:53`.
#![expect(clippy::print_stdout, reason = "it says what it did")]

use std::{env, error::Error, net::SocketAddr};

use meshlite_ipvs::{
    Change, Destination, DestinationKey, DestinationSettings, Forwarding, Ipvs, Protocol,
    Scheduler, Service, ServiceKey, ServiceSettings,
};

fn main() -> Result<(), Box<dyn Error>> {
    let addresses: Vec<SocketAddr> = env::args()
        .skip(1)
        .map(|a| a.parse())
        .collect::<Result<_, _>>()?;
    let [virtual_address, destinations @ ..] = &addresses[..] else {
        return Err("serve VIRTUAL_ADDRESS:PORT [DESTINATION:PORT...]".into());
    };
    let service = Service {
        key: ServiceKey::address(Protocol::TCP, *virtual_address),
        settings: ServiceSettings::new(Scheduler::WLC),
    };
    let destinations = destinations.iter().map(|address| Destination {
        key: DestinationKey::from(*address),
        settings: DestinationSettings::new(Forwarding::Masquerade, 1),
    });

    let mut ipvs = Ipvs::connect()?;
    let add = |destination| Change::AddDestination(service.key, destination);
    let changes: Vec<Change> = [Change::AddService(service)]
        .into_iter()
        .chain(destinations.map(add))
        .collect();
    // What is there already is edited instead.
    let mut edits = Vec::new();
    for failure in ipvs.apply(changes.iter().copied())? {
        edits.push(match (changes[failure.index], failure.error) {
            (Change::AddService(service), meshlite_ipvs::Error::Exists(_)) => {
                Change::EditService(service)
            }
            (Change::AddDestination(service, destination), meshlite_ipvs::Error::Exists(_)) => {
                Change::EditDestination(service, destination)
            }
            (_, error) => return Err(error.into()),
        });
    }
    let edited = edits.len();
    if let Some(failure) = ipvs.apply(edits)?.pop() {
        return Err(failure.error.into());
    }
    println!(
        "{}: {} added, {edited} edited",
        service.key,
        changes.len() - edited
    );
    Ok(())
}
