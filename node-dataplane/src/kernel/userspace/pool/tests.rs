//! Schedulers, persistence and source ranges, without sockets.

use super::*;

fn backends(weights: &[u16]) -> Vec<(Arc<Backend>, u16)> {
    (1..)
        .zip(weights)
        .map(|(n, weight)| {
            let address = SocketAddr::from(([10, 244, 0, n], 80));
            (Backend::new(address), *weight)
        })
        .collect()
}

fn mk_pool(scheduler: Scheduler, weights: &[u16]) -> Pool {
    Pool::new(PoolParts {
        scheduler,
        source_ranges: Arc::default(),
        persistence: None,
        backends: backends(weights),
        next: Arc::default(),
    })
}

fn client(n: u8) -> IpAddr {
    [192, 168, 0, n].into()
}

/// The last byte of the chosen address, and what holds the connection.
#[track_caller]
fn choose(pool: &Pool, from: IpAddr, tried: &[SocketAddr]) -> (u8, Lease) {
    match pool.choose(from, tried, Instant::now()) {
        Choice::Use(lease, _) => (last(lease.address()), lease),
        other => panic!("{other:?}"),
    }
}

fn last(address: SocketAddr) -> u8 {
    match address {
        SocketAddr::V4(v4) => v4.ip().octets()[3],
        SocketAddr::V6(_) => 0,
    }
}

fn sequence(pool: &Pool, n: usize) -> Vec<u8> {
    (0..n).map(|_| choose(pool, client(1), &[]).0).collect()
}

#[test]
fn rr_gives_each_its_turn_and_skips_weight_zero() {
    let pool = mk_pool(Scheduler::Rr, &[1, 0, 9]);
    assert_eq!(sequence(&pool, 4), [1, 3, 1, 3]);
}

#[test]
fn wrr_gives_each_as_many_turns_as_its_weight_and_spreads_them() {
    let pool = mk_pool(Scheduler::Wrr, &[20, 10, 40]);
    assert_eq!(sequence(&pool, 7), [3, 1, 3, 2, 3, 1, 3]);
    let uneven = mk_pool(Scheduler::Wrr, &[65_535, 1]);
    assert!(uneven.turns.len() <= 4097, "{}", uneven.turns.len());
    assert!(uneven.turns.contains(&1), "nobody is left out");
}

#[test]
fn lc_takes_the_one_with_the_fewest_connections() {
    let pool = mk_pool(Scheduler::Lc, &[1, 1, 1]);
    let mut held: Vec<_> = (0..3).map(|_| choose(&pool, client(1), &[])).collect();
    held.sort_by_key(|(n, _)| *n);
    assert_eq!([held[0].0, held[1].0, held[2].0], [1, 2, 3]);
    held.remove(1);
    for _ in 0..3 {
        assert_eq!(choose(&pool, client(1), &[]).0, 2);
    }
}

#[test]
fn wlc_counts_connections_by_weight() {
    let pool = mk_pool(Scheduler::Wlc, &[1, 3]);
    let held: Vec<_> = (0..8).map(|_| choose(&pool, client(1), &[])).collect();
    assert_eq!(held.iter().filter(|(n, _)| *n == 2).count(), 6);
}

#[test]
fn what_was_tried_is_not_chosen_again() {
    let pool = mk_pool(Scheduler::Rr, &[1, 1]);
    let first = SocketAddr::from(([10, 244, 0, 1], 80));
    for _ in 0..3 {
        assert_eq!(choose(&pool, client(1), &[first]).0, 2);
    }
    let second = SocketAddr::from(([10, 244, 0, 2], 80));
    let none = pool.choose(client(1), &[first, second], Instant::now());
    assert!(matches!(none, Choice::Nobody));
}

#[test]
fn a_persistent_client_stays_and_moves_only_when_its_endpoint_fails() {
    let mut pool = mk_pool(Scheduler::Rr, &[1, 1, 1]);
    pool.persistence = Some(Persistence {
        timeout: Duration::from_secs(10),
        affinity: Arc::default(),
    });
    let (home, lease) = choose(&pool, client(1), &[]);
    assert_eq!(sequence(&pool, 4), [home; 4]);
    assert_ne!(choose(&pool, client(2), &[]).0, home, "another client");
    let moved = choose(&pool, client(1), &[lease.address()]).0;
    assert_ne!(moved, home);
    assert_eq!(sequence(&pool, 3), [moved; 3]);
}

#[test]
fn clients_outside_the_source_ranges_are_forbidden() {
    let mut pool = mk_pool(Scheduler::Rr, &[1]);
    pool.source_ranges = Arc::new(["192.168.0.2/32".parse().unwrap()].into());
    let outside = pool.choose(client(1), &[], Instant::now());
    assert!(matches!(outside, Choice::Forbidden));
    assert_eq!(choose(&pool, client(2), &[]).0, 1);
}

#[test]
fn inside_clients_have_a_pool_of_their_own() {
    let mut routes = Routes {
        everyone: Some(mk_pool(Scheduler::Rr, &[1])),
        inside: Some(mk_pool(Scheduler::Rr, &[0, 1])),
        networks: Arc::new(["192.168.0.1/32".parse().unwrap()].into()),
    };
    let chosen = |routes: &Routes, from| match routes.choose(from, &[], Instant::now()) {
        Choice::Use(lease, _) => last(lease.address()),
        _ => 0,
    };
    assert_eq!(chosen(&routes, client(1)), 2);
    assert_eq!(chosen(&routes, client(9)), 1);
    routes.inside = None;
    assert_eq!(chosen(&routes, client(1)), 1);
}
