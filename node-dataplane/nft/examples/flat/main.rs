//! Loads a load balancer as flat maps into the network namespace it runs in, and prints what the kernel has then:
//! `unshare -rn cargo run -p meshlite-nft --example flat`. Delete it with `nft delete table inet flat`.
#![expect(clippy::print_stdout, reason = "it prints what it does")]

mod rules;
mod service;
mod steps;

use std::net::Ipv4Addr;

use meshlite_nft::Nftables;
use rules::Flat;
use service::{Service, vip};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let service = |last, endpoints: &[u8]| Service {
        address: Ipv4Addr::new(10, 96, 0, last),
        protocol: 6,
        port: 80,
        endpoints: endpoints
            .iter()
            .map(|e| (Ipv4Addr::new(10, 244, 0, *e), 8080))
            .collect(),
        sticky: false,
        sources: None,
    };
    let services = [
        service(1, &[1, 2]),
        Service {
            sticky: true,
            ..service(2, &[1, 2, 3])
        },
        Service {
            sources: Some((Ipv4Addr::new(10, 0, 0, 0), Ipv4Addr::new(10, 255, 255, 255))),
            ..service(3, &[3])
        },
        service(4, &[]),
    ];
    let flat = Flat::new("flat");
    let transaction = flat.load(&services);
    let mut nftables = Nftables::connect()?;
    nftables.commit(&transaction)?;
    println!(
        "{} changes in {} bytes",
        transaction.changes(),
        transaction.size()
    );

    println!("\nrules:");
    for entry in nftables.rules(flat.table())? {
        println!("{} handle {}", entry.rule.chain, entry.handle);
        for expression in entry.rule.expressions {
            println!("  {expression:?}");
        }
    }
    println!("\nsets:");
    for entry in nftables.sets(flat.table())? {
        println!("{}", entry.set.key);
        for entry in nftables.elements(&entry.set.key)? {
            println!("  {:?} {:?}", entry.element.key, entry.element.data);
        }
    }

    let change = flat.change_endpoint(&services[0], 1, (Ipv4Addr::new(10, 244, 0, 9), 8080));
    nftables.commit(&change)?;
    println!(
        "\nslot 1 of {:?} changed in {} bytes",
        vip(&services[0]),
        change.size()
    );
    Ok(())
}
