//! Meshes of Purlin and OTP nodes: who meets one of them meets all, also after restarts.

mod support;

use std::time::Duration;

use purlin_node::{Delivery, DownReason, Mailbox, MonitorNodes, Node, NodeEvent, NodeName, atom};
use support::{Erl, Net, PATIENCE, RELEASES, Release, name};
use tokio::time::timeout;

/// Waits until `node` lists just `expected`, by its own announcements.
async fn wait_for_nodes(node: &Node, expected: &[&str]) {
    let mut expected: Vec<NodeName> = expected.iter().map(|alive| name(alive)).collect();
    expected.sort();
    let mut mailbox: Mailbox = node.attach().unwrap();
    node.monitor_nodes(mailbox.pid());
    while node.nodes() != expected {
        let change = timeout(PATIENCE, mailbox.receive()).await;
        let found = node.nodes();
        assert!(change.is_ok(), "{node:?} lists {found:?}, not {expected:?}");
        assert!(matches!(
            change,
            Ok(Delivery::Node(NodeEvent::Up { .. }) | Delivery::Node(NodeEvent::Down { .. }))
        ));
    }
}

/// Waits until `erl` lists just `expected`, by its own announcements.
async fn wait_for_erl_nodes(erl: &mut Erl, expected: &[&str]) {
    let mut names: Vec<String> = expected
        .iter()
        .map(|alive| format!("'{alive}@127.0.0.1'"))
        .collect();
    names.sort();
    let names = names.join(",");
    let wait = format!(
        "net_kernel:monitor_nodes(true), \
         (fun Wait() -> case lists:sort(nodes()) of [{names}] -> ok; _ -> \
         receive {{nodeup, _}} -> Wait(); {{nodedown, _}} -> Wait() \
         after 60000 -> nodes() end end end)()"
    );
    erl.check(&wait, "ok").await;
}

async fn purlin_mesh(release: Release) {
    let net = Net::new().await;
    let (a, b, c) = (
        net.node("a").await,
        net.node("b").await,
        net.node("c").await,
    );
    b.connect_to(name("a")).await.unwrap();
    c.connect_to(name("a")).await.unwrap();
    for (node, others) in [(&a, ["b", "c"]), (&b, ["a", "c"]), (&c, ["a", "b"])] {
        wait_for_nodes(node, &others).await;
    }
    let mut erl = net.erl(release, "erl").await;
    erl.check("net_adm:ping('a@127.0.0.1')", "pong").await;
    wait_for_erl_nodes(&mut erl, &["a", "b", "c"]).await;
    erl.check("global:sync()", "ok").await;

    c.stop(PATIENCE).await;
    wait_for_erl_nodes(&mut erl, &["a", "b"]).await;
    let c = net.node("c").await;
    c.connect_to(name("b")).await.unwrap();
    wait_for_erl_nodes(&mut erl, &["a", "b", "c"]).await;
    erl.check("global:sync()", "ok").await;
    erl.assert_nothing_logged();

    erl.kill().await;
    for (node, others) in [(&a, ["b", "c"]), (&b, ["a", "c"]), (&c, ["a", "b"])] {
        wait_for_nodes(node, &others).await;
    }
    let mut erl = net.erl(release, "erl").await;
    erl.check("net_adm:ping('b@127.0.0.1')", "pong").await;
    wait_for_erl_nodes(&mut erl, &["a", "b", "c"]).await;
    erl.check("global:sync()", "ok").await;
    erl.assert_nothing_logged();
    for node in [a, b, c] {
        node.stop(Duration::from_secs(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn otp25_meets_three_purlin_nodes_through_one_also_after_restarts() {
    purlin_mesh(Release::Otp25).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn otp28_meets_three_purlin_nodes_through_one_also_after_restarts() {
    purlin_mesh(Release::Otp28).await;
}

/// Two OTP nodes of both releases and a Purlin node, which restarts.
#[tokio::test(flavor = "multi_thread")]
async fn both_releases_and_a_purlin_node_form_a_mesh_also_after_restarts() {
    let net = Net::new().await;
    let mut erls = Vec::new();
    for (release, alive) in RELEASES.into_iter().zip(["otp25", "otp28"]) {
        erls.push(net.erl(release, alive).await);
    }
    erls[0]
        .check("net_adm:ping('otp28@127.0.0.1')", "pong")
        .await;
    for alive in ["m", "z"] {
        // Below and above the names of the others: both sides of every rule that compares names.
        let purlin = net.node(alive).await;
        purlin.connect_to(name("otp25")).await.unwrap();
        wait_for_erl_nodes(&mut erls[0], &["otp28", alive]).await;
        wait_for_erl_nodes(&mut erls[1], &["otp25", alive]).await;
        for erl in &mut erls {
            erl.check("global:sync()", "ok").await;
        }
        let registered =
            format!("global:register_name({alive}, spawn(fun() -> receive stop -> ok end end))");
        erls[1].check(&registered, "yes").await;
        erls[0]
            .check(&format!("is_pid(global:whereis_name({alive}))"), "true")
            .await;
        purlin.stop(PATIENCE).await;
        wait_for_erl_nodes(&mut erls[0], &["otp28"]).await;
        wait_for_erl_nodes(&mut erls[1], &["otp25"]).await;
    }
    for erl in &erls {
        // One OTP node may hear from the other of our leaving before it sees it, and takes it for a
        // broken link: OTP reports at once, and as often when it is an OTP node that leaves (SEMANTICS has
        // the figures).
        erl.assert_nothing_logged_but(OTP_RACE);
    }
}

/// What a member of a mesh is.
#[derive(Clone, Copy)]
enum Kind {
    Purlin,
    Otp(Release),
}

enum Member {
    Purlin(Node),
    Otp(Box<Erl>),
}

impl Member {
    async fn start(net: &Net, kind: Kind, alive: &str) -> Self {
        match kind {
            Kind::Purlin => Self::Purlin(net.node(alive).await),
            Kind::Otp(release) => Self::Otp(Box::new(net.erl(release, alive).await)),
        }
    }

    async fn connect_to(&mut self, alive: &str) {
        match self {
            Self::Purlin(node) => node.connect_to(name(alive)).await.unwrap(),
            Self::Otp(erl) => {
                let ping = format!("net_adm:ping('{alive}@127.0.0.1')");
                erl.check(&ping, "pong").await;
            }
        }
    }

    async fn wait_for(&mut self, others: &[&str]) {
        match self {
            Self::Purlin(node) => wait_for_nodes(node, others).await,
            Self::Otp(erl) => wait_for_erl_nodes(erl, others).await,
        }
    }

    async fn leave(self) {
        match self {
            Self::Purlin(node) => node.stop(PATIENCE).await,
            Self::Otp(erl) => erl.kill().await,
        }
    }

    /// What OTP has logged, all of it.
    async fn log(&mut self) -> String {
        let Self::Otp(erl) = self else {
            return String::new();
        };
        erl.check("logger_std_h:filesync(default)", "ok").await;
        erl.log()
    }
}

const THREE: [&str; 3] = ["a", "b", "c"];

/// All but one of [`THREE`].
fn but(gone: usize) -> Vec<&'static str> {
    let others = THREE.iter().enumerate().filter(|(at, _)| *at != gone);
    others.map(|(_, alive)| *alive).collect()
}

/// The log that grows when a node leaves, among OTP nodes as well (SEMANTICS has the figures).
const OTP_RACE: &str = "in order to prevent overlapping partitions";

/// Three nodes, some of which may be away.
struct Mesh {
    net: Net,
    kinds: [Kind; 3],
    members: [Option<Member>; 3],
    /// What OTP nodes have logged up to now.
    logs: [String; 3],
}

impl Mesh {
    async fn start(kinds: [Kind; 3]) -> Self {
        let mut mesh = Self {
            net: Net::new().await,
            kinds,
            members: [const { None }; 3],
            logs: [const { String::new() }; 3],
        };
        for (at, kind) in kinds.into_iter().enumerate() {
            mesh.members[at] = Some(Member::start(&mesh.net, kind, THREE[at]).await);
        }
        mesh
    }

    fn member(&mut self, at: usize) -> &mut Member {
        self.members[at].as_mut().expect("it is there")
    }

    fn present(&mut self) -> impl Iterator<Item = (usize, &mut Member)> {
        let places = self.members.iter_mut().enumerate();
        places.filter_map(|(at, member)| Some((at, member.as_mut()?)))
    }

    /// All know all, `global` has settled, and nobody has logged a word.
    async fn settle(&mut self) {
        for (at, member) in self.present() {
            member.wait_for(&but(at)).await;
        }
        for (_, member) in self.present() {
            if let Member::Otp(erl) = member {
                erl.check("global:sync()", "ok").await;
            }
        }
        let logs = self.logs.clone();
        for (at, member) in self.present() {
            assert_eq!(member.log().await, logs[at], "{}", THREE[at]);
        }
    }

    async fn leave(&mut self, leaving: usize) {
        self.members[leaving]
            .take()
            .expect("it is there")
            .leave()
            .await;
        for at in (0..3).filter(|at| *at != leaving) {
            let other = but(leaving).into_iter().find(|alive| *alive != THREE[at]);
            let member = self.member(at);
            member.wait_for(&[other.expect("two are left")]).await;
            let log = member.log().await;
            if let Member::Otp(erl) = member {
                erl.assert_nothing_logged_but(OTP_RACE);
            }
            self.logs[at] = log;
        }
    }

    async fn come_again(&mut self, at: usize) {
        let mut member = Member::start(&self.net, self.kinds[at], THREE[at]).await;
        self.logs[at] = member.log().await;
        member.connect_to(THREE[(at + 1) % 3]).await;
        self.members[at] = Some(member);
    }
}

/// Each leaves and comes again in its turn, and meets one of the others.
async fn three_with_restarts(kinds: [Kind; 3]) {
    let mut mesh = Mesh::start(kinds).await;
    mesh.member(1).connect_to("a").await;
    mesh.member(2).connect_to("b").await;
    mesh.settle().await;
    for at in 0..3 {
        mesh.leave(at).await;
        mesh.come_again(at).await;
        mesh.settle().await;
    }
    for member in mesh.members.into_iter().flatten() {
        member.leave().await;
    }
}

macro_rules! three {
    ($($name:ident: $($kind:expr),+;)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            three_with_restarts([$($kind),+]).await;
        }
    )*};
}

const OTP25: Kind = Kind::Otp(Release::Otp25);
const OTP28: Kind = Kind::Otp(Release::Otp28);

three! {
    two_otp25_and_a_purlin_node_each_restarted: Kind::Purlin, OTP25, OTP25;
    two_otp28_and_a_purlin_node_each_restarted: OTP28, Kind::Purlin, OTP28;
    otp25_otp28_and_a_purlin_node_each_restarted: OTP25, OTP28, Kind::Purlin;
    otp25_and_two_purlin_nodes_each_restarted: Kind::Purlin, OTP25, Kind::Purlin;
    otp28_and_two_purlin_nodes_each_restarted: Kind::Purlin, Kind::Purlin, OTP28;
}

/// Whom each of three nodes is connected with.
type Links = [Vec<String>; 3];

impl Mesh {
    async fn links(&mut self) -> Links {
        let mut links = [const { Vec::new() }; 3];
        for (at, member) in self.present() {
            links[at] = match member {
                Member::Purlin(node) => node.nodes().iter().map(NodeName::to_string).collect(),
                Member::Otp(erl) => atoms(&erl.eval("lists:sort(nodes())").await),
            };
        }
        links
    }

    /// Has each OTP node register its own name with `global`.
    async fn register(&mut self) {
        for (at, member) in self.present() {
            if let Member::Otp(erl) = member {
                let register = format!("global:register_name({}, self())", THREE[at]);
                erl.check(&register, "yes").await;
            }
        }
    }

    /// The names that each of the three knows by `global`.
    async fn names(&mut self) -> [Vec<String>; 3] {
        let mut names = [const { Vec::new() }; 3];
        for (at, member) in self.present() {
            names[at] = match member {
                Member::Purlin(node) => {
                    let server = (atom!("global_name_server"), node.name());
                    let request = atom!("registered_names");
                    let known = node.call_term_timeout(server, &request, PATIENCE).await;
                    atoms(&known.unwrap().to_string())
                }
                Member::Otp(erl) => atoms(&erl.eval("lists:sort(global:registered_names())").await),
            };
        }
        names
    }

    /// Whether each knows just the names that its own part has registered.
    async fn names_are_of(&mut self, links: &Links) -> bool {
        let owners: Vec<&str> = self
            .present()
            .filter(|(_, member)| matches!(member, Member::Otp(_)))
            .map(|(at, _)| THREE[at])
            .collect();
        let names = self.names().await;
        (0..3).all(|at| {
            let part = part(links, at);
            let known = owners.iter().filter(|owner| part.contains(&full(owner)));
            known.eq(&names[at])
        })
    }
}

/// The atoms of a list, as it is printed.
fn atoms(list: &str) -> Vec<String> {
    let atoms = list.split(['[', '\'', ',', ']']);
    let atoms = atoms.filter(|part| !part.is_empty());
    atoms.map(str::to_owned).collect()
}

fn full(alive: &str) -> String {
    format!("{alive}@127.0.0.1")
}

/// Whom one of three is connected with, and itself.
fn part(links: &Links, at: usize) -> Vec<String> {
    let mut part = links[at].clone();
    part.push(full(THREE[at]));
    part.sort();
    part
}

/// Whether each is connected with just those of its part, and the first is not of the third's.
fn is_parted(links: &Links) -> bool {
    let part = |at| part(links, at);
    let are_whole = (0..3).all(|at| {
        let mut members = (0..3).filter(|other| part(at).contains(&full(THREE[*other])));
        members.all(|other| part(other) == part(at))
    });
    are_whole && !part(0).contains(&full(THREE[2]))
}

/// One of three nodes loses its connection to another, while both keep theirs to the third. Among OTP nodes the
/// cluster then ends in parts whose nodes all know each other: all three alone, as a rule, since both report
/// the other lost, or one alone, if it had to go before it could report. Each part knows the names that its own
/// nodes have registered with `global`, and no others.
async fn lost_link(third: Kind, cutter: usize) -> Links {
    let mut mesh = Mesh::start([OTP25, OTP28, third]).await;
    mesh.member(1).connect_to("a").await;
    mesh.member(2).connect_to("b").await;
    mesh.settle().await;
    mesh.register().await;
    for (_, member) in mesh.present() {
        if let Member::Otp(erl) = member {
            let forget = "(fun Forget() -> receive _ -> Forget() after 0 -> ok end end)()";
            erl.check(forget, "ok").await;
        }
    }
    let lost = THREE[2 - cutter];
    match mesh.member(cutter) {
        Member::Purlin(node) => assert!(node.disconnect(name(lost)).await),
        Member::Otp(erl) => {
            let cut = format!("erlang:disconnect_node('{lost}@127.0.0.1')");
            erl.check(&cut, "true").await;
        }
    }
    let parted = async {
        loop {
            let links = mesh.links().await;
            if is_parted(&links) && mesh.names_are_of(&links).await {
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, parted)
        .await
        .expect("parts that do not overlap, with their own names");
    // It stays so: nothing that was under way connects any of them again.
    let mut logs = [const { String::new() }; 3];
    for (at, member) in mesh.present() {
        if let Member::Otp(erl) = member {
            let again = "receive {nodeup, Again} -> Again after 500 -> nobody end";
            erl.check(again, "nobody").await;
            erl.assert_nothing_logged_but(OTP_RACE);
        }
        logs[at] = member.log().await;
    }
    let links = mesh.links().await;
    assert!(is_parted(&links), "{links:?}");
    assert!(mesh.names_are_of(&links).await, "{:?}", mesh.names().await);
    // And it heals when they are connected.
    mesh.logs = logs;
    mesh.member(1).connect_to("a").await;
    mesh.member(2).connect_to("b").await;
    mesh.settle().await;
    let (healed, known) = (mesh.links().await, mesh.names().await);
    assert!(mesh.names_are_of(&healed).await, "{known:?}");
    links
}

macro_rules! lost_links {
    ($($name:ident: $third:expr, $cutter:literal;)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            println!("ended as {:?}", lost_link($third, $cutter).await);
        }
    )*};
}

lost_links! {
    otp_loses_otp_among_three_otp_nodes: OTP28, 0;
    otp_loses_a_purlin_node_among_three: Kind::Purlin, 0;
    a_purlin_node_loses_otp_among_three: Kind::Purlin, 2;
}

/// One OTP node of three is frozen past the tick time: the others give it up and keep each other. Thawed, it
/// has lost both, and stays alone until one of them calls it.
async fn frozen_otp_among_three(kept: Release, frozen: Release) {
    let net = Net::new().await;
    let quick = ["-kernel", "net_ticktime", "4"];
    let purlin = net.builder("a").net_ticktime(Duration::from_secs(4));
    let purlin = purlin.start().await.unwrap();
    let mut kept = net.erl_with(kept, "b", &net.cookie, &quick).await;
    let mut frozen = net.erl_with(frozen, "c", &net.cookie, &quick).await;
    purlin.connect_to(name("b")).await.unwrap();
    purlin.connect_to(name("c")).await.unwrap();
    three_know_each_other(&purlin, &mut kept, &mut frozen).await;
    let mut watcher = purlin.attach().unwrap();
    let reasons = MonitorNodes::default().nodedown_reason();
    purlin.monitor_nodes_with(watcher.pid(), reasons);
    kept.check(
        "net_kernel:monitor_nodes(false), net_kernel:monitor_nodes(true), \
         (fun Forget() -> receive _ -> Forget() after 0 -> ok end end)()",
        "ok",
    )
    .await;

    frozen.signal("STOP").await;
    let told = timeout(PATIENCE, watcher.receive()).await;
    let given_up = matches!(&told, Ok(Delivery::Node(NodeEvent::Down { node, reason: DownReason::NetTickTimeout, .. }))
        if *node == name("c"));
    assert!(given_up, "{told:?}");
    let nodedown = "receive {nodedown, Down} -> Down after 60000 -> nobody end";
    kept.check(nodedown, "'c@127.0.0.1'").await;
    frozen.signal("CONT").await;
    wait_for_erl_nodes(&mut frozen, &[]).await;
    let again = "receive Again -> Again after 500 -> nobody end";
    kept.check(again, "nobody").await;
    assert_eq!(purlin.nodes(), [name("b")]);
    let told = timeout(Duration::ZERO, watcher.receive()).await;
    assert!(told.is_err(), "{told:?}");

    purlin.connect_to(name("c")).await.unwrap();
    three_know_each_other(&purlin, &mut kept, &mut frozen).await;
    purlin.stop(PATIENCE).await;
}

async fn three_know_each_other(a: &Node, b: &mut Erl, c: &mut Erl) {
    wait_for_nodes(a, &["b", "c"]).await;
    for (erl, others) in [(b, ["a", "c"]), (c, ["a", "b"])] {
        wait_for_erl_nodes(erl, &others).await;
        erl.check("global:sync()", "ok").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purlin_and_an_otp_node_give_a_frozen_third_up_and_keep_each_other() {
    tokio::join!(
        frozen_otp_among_three(Release::Otp25, Release::Otp28),
        frozen_otp_among_three(Release::Otp28, Release::Otp25)
    );
}
