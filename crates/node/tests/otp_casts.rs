//! Casts that wait for the connection to an OTP node, both releases.
//!
//! One thread, so that nothing is dialled before a test awaits.

mod support;

use std::future::Future;
use std::time::Duration;

use purlin_behaviours::{call_from, cast_from};
use purlin_node::{Term, atom};
use support::{Net, PATIENCE, RELEASES, name};
use tokio::time::timeout;

/// A server that answers a call with the casts and messages that it has got, the newest first.
const SERVER: &str = "Serve = fun(F, S) -> receive \
        {'$gen_call', From, get} -> gen_server:reply(From, S), F(F, S); \
        {'$gen_cast', M} -> F(F, [M | S]); \
        M -> F(F, [M | S]) end end, \
    register(server, spawn(fun() -> Serve(Serve, []) end))";

async fn at_once<T>(future: impl Future<Output = T>) -> T {
    let result = timeout(Duration::ZERO, future).await;
    result.expect("it does not wait")
}

#[tokio::test]
async fn a_hundred_casts_and_the_call_behind_them_reach_an_erl_that_the_first_has_dialled() {
    for release in RELEASES {
        let net = Net::new().await;
        let node = net.node("purlin").await;
        let mut erl = net.erl(release, "erl").await;
        erl.check(SERVER, "true").await;
        let (me, to) = (node.attach().unwrap(), (atom!("server"), name("erl")));
        for number in 0..100_i64 {
            match number % 4 {
                0 => me.try_send(to.clone(), Term::from(number)).unwrap(),
                _ => at_once(cast_from(&*me, to.clone(), &number)).await.unwrap(),
            }
        }
        assert!(node.connections().is_empty());
        let get = Term::from(atom!("get"));
        let heard = call_from(&*me, to, &get, PATIENCE).await.unwrap();
        let expected: Vec<Term> = (0..100_i64).rev().map(Term::from).collect();
        assert_eq!(heard, Term::list(expected));
        erl.assert_nothing_logged();
        node.stop(PATIENCE).await;
    }
}
