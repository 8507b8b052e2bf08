//! What one process sends to another arrives whole and in the order sent, between a Purlin node and OTP
//! nodes, both ways at once: from nothing to 64 MiB, by pid, name and alias in turn.
//! {OTP 25, 28} x {cache and fragments, fragments only, pass-through} x {they dial, we dial}.

mod support;

use purlin_node::{Destination, Flags, Mailbox, Pid, Reference, Term, atom};
use purlin_runtime::AliasMode;
use support::mailbox::message;
use support::{Net, PATIENCE, Release, name};

/// Messages in each direction, and which of them is the largest.
const MANY: usize = 300;
const LARGEST: usize = 150;

/// The length of a message's binary: small ones, those around where fragments begin, and large ones.
fn len(number: usize) -> usize {
    match (number, number % 50) {
        (LARGEST, _) => 64 << 20,
        (_, 0) => 1 << 20,
        (_, 25) => 1 << 16,
        (_, 26) => (1 << 16) + 1,
        (_, rest) if rest % 10 == 3 => 5000,
        _ => number % 7,
    }
}

/// Bytes of a body that are alike. A fragment has several such blocks, and a prime number of them differ: in
/// other places they make another body.
const BLOCK: usize = 4096;

fn body(number: usize) -> Vec<u8> {
    let byte = |at: usize| ((number + at / BLOCK) % 251) as u8;
    (0..len(number)).map(byte).collect()
}

/// [`body`], and what OTP does with it.
const PREPARE: &str = "N = 'purlin@127.0.0.1', \
    Len = fun(150) -> 64 bsl 20; (I) -> case I rem 50 of 0 -> 1 bsl 20; 25 -> 1 bsl 16; 26 -> 1 bsl 16 + 1; \
        R when R rem 10 =:= 3 -> 5000; _ -> I rem 7 end end, \
    Block = fun(I, K) -> binary:copy(<<((I + K) rem 251)>>, max(0, min(4096, Len(I) - K * 4096))) end, \
    Body = fun(I) -> iolist_to_binary([Block(I, K) || K <- lists:seq(0, Len(I) div 4096)]) end, \
    To = fun(I, P, A) -> case I rem 3 of 0 -> P; 1 -> {box, N}; 2 -> A end end, \
    catch unregister(sink), register(sink, self()), ok";

/// Sends all, then takes all: answers the first that is not what is due.
const EXCHANGE: &str = "(fun() -> {box, N} ! {self(), alias()}, receive {P, A} -> ok end, \
    [To(I, P, A) ! {I, Body(I)} || I <- lists:seq(1, 300)], \
    case lists:dropwhile(fun(I) -> receive {J, B} -> J =:= I andalso B =:= Body(I) after 60000 -> false end end, \
        lists:seq(1, 300)) of [] -> in_order; [I | _] -> I end end)()";

/// The pid and the alias that stand in a message.
fn addresses(message: &Term) -> (Pid, Reference) {
    match message.as_tuple() {
        Some([Term::Pid(pid), Term::Reference(alias)]) => (*pid, **alias),
        _ => panic!("a pid and an alias, not {message}"),
    }
}

async fn send_all(from: &Mailbox, to: (Pid, Reference), alive: &str) {
    for number in 1..=MANY {
        let destination = match number % 3 {
            0 => Destination::Pid(to.0),
            1 => Destination::Name(atom!("sink"), name(alive)),
            _ => Destination::Alias(to.1),
        };
        let message = [(number as i64).into(), Term::Binary(body(number).into())];
        from.send(destination, &Term::tuple(message)).await.unwrap();
    }
}

async fn take_all(ours: &mut Mailbox) {
    for number in 1..=MANY {
        let message = message(ours).await;
        let Some([Term::Int(found), binary]) = message.as_tuple() else {
            panic!("not {message}")
        };
        assert_eq!(*found, number as i64);
        let is_whole = binary.as_binary() == Some(&body(number));
        assert!(is_whole, "message {number}");
    }
}

async fn run(release: Release, flags: Flags) {
    let net = Net::new().await;
    let node = net.builder("purlin").flags(flags).start().await.unwrap();
    for alive in ["they", "we"] {
        let mut erl = net.erl(release, alive).await;
        match alive {
            "they" => erl.check("net_adm:ping('purlin@127.0.0.1')", "pong").await,
            _ => node.ping(name(alive), PATIENCE).await.unwrap(),
        }
        erl.check(PREPARE, "ok").await;
        let (mut ours, sender) = (node.attach().unwrap(), node.attach().unwrap());
        node.register(atom!("box"), ours.pid()).unwrap();
        let both_ways = async {
            let theirs = addresses(&message(&mut ours).await);
            let alias = ours.alias(AliasMode::ExplicitUnalias);
            let told = Term::tuple([ours.pid().into(), alias.into()]);
            sender.send(theirs.0, &told).await.unwrap();
            tokio::join!(send_all(&sender, theirs, alive), take_all(&mut ours));
        };
        let (found, ()) = tokio::join!(erl.eval(EXCHANGE), both_ways);
        assert_eq!(found, "in_order");
        erl.assert_nothing_logged();
    }
    node.stop(PATIENCE).await;
}

macro_rules! courses {
    ($($name:ident: $release:ident, $flags:ident;)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            run(Release::$release, Flags::$flags).await;
        }
    )*};
}

courses! {
    otp25_cache_and_fragments: Otp25, CACHE_AND_FRAGMENTS;
    otp25_fragments_only: Otp25, FRAGMENTS_ONLY;
    otp25_pass_through: Otp25, PASS_THROUGH;
    otp28_cache_and_fragments: Otp28, CACHE_AND_FRAGMENTS;
    otp28_fragments_only: Otp28, FRAGMENTS_ONLY;
    otp28_pass_through: Otp28, PASS_THROUGH;
}
