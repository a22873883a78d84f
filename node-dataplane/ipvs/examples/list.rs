//! Lists services and destinations, much as `ipvsadm -Ln` does: `cargo run --example list`.
#![expect(clippy::print_stdout, reason = "it prints a table")]

use meshlite_ipvs::{Error, Ipvs, ServiceFlags};

fn main() -> Result<(), Error> {
    let mut ipvs = Ipvs::connect()?;
    let info = ipvs.info()?;
    println!(
        "IP Virtual Server version {} (size={})",
        info.version, info.connection_table_size
    );
    println!("Prot LocalAddress:Port Scheduler Flags");
    println!("  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn");
    let mut services = ipvs.services()?;
    services.sort_by_key(|entry| entry.service.key);
    for entry in services {
        let (key, settings) = (entry.service.key, entry.service.settings);
        print!("{key} {}", settings.scheduler);
        if let Some(persistence) = settings.persistence {
            print!(" persistent {}", persistence.timeout);
        }
        if settings.flags.contains(ServiceFlags::ONE_PACKET) {
            print!(" ops");
        }
        println!();
        for entry in ipvs.destinations(key)? {
            let (key, settings) = (entry.destination.key, entry.destination.settings);
            println!(
                "  -> {:<28} {:<7} {:<6} {:<10} {:<10}",
                key.to_string(),
                settings.forwarding,
                settings.weight,
                entry.active_connections,
                entry.inactive_connections
            );
        }
    }
    Ok(())
}
