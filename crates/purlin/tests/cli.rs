//! What the commands print, how they fail, and with which status: DESIGN section 3, without OTP.

mod support;

use support::{Done, Net, Running, finish, purlin, shown};

/// It worked and printed this.
fn printed(out: &str) -> Done {
    Done {
        out: out.to_owned(),
        err: String::new(),
        status: Some(0),
    }
}

/// It printed nothing but this line on standard error.
fn failed(status: i32, line: &str) -> Done {
    Done {
        out: String::new(),
        err: format!("purlin: {line}\n"),
        status: Some(status),
    }
}

#[test]
fn start_prints_one_line_and_stops_when_told_to() {
    let net = Net::new();
    let a = net.start("a", &[]);
    for signal in ["TERM", "INT"] {
        let b = net.start("b", &["--join", "a@127.0.0.1"]);
        net.wait_for(
            &["call", "a@127.0.0.1", "erlang", "nodes", "[]"],
            "['b@127.0.0.1']\n",
        );
        b.signal(signal);
        let done = b.finish();
        assert_eq!(
            (done.out.as_str(), done.status),
            ("", Some(0)),
            "{}",
            done.err
        );
        net.wait_for(&["call", "a@127.0.0.1", "erlang", "nodes", "[]"], "[]\n");
    }
    drop(a);
}

#[test]
fn a_node_joins_one_that_starts_later() {
    let net = Net::new();
    let _b = net.start("b", &["--join", "a@127.0.0.1"]);
    let _a = net.start("a", &[]);
    net.wait_for(
        &["nodes", "b@127.0.0.1"],
        "a@127.0.0.1: b@127.0.0.1\nb@127.0.0.1: a@127.0.0.1\n",
    );
}

#[test]
fn a_node_joins_again_when_the_one_it_joined_was_lost() {
    let net = Net::new();
    let mut a = net.start("a", &[]);
    let b = net.start("b", &["--join", "a@127.0.0.1", "--log", "info"]);
    b.log_line("joined");
    for signal in ["KILL", "TERM"] {
        a.signal(signal);
        a.finish();
        b.log_line("lost, to be joined again");
        a = net.start("a", &[]);
        b.log_line("joined");
    }
    net.wait_for(
        &["nodes", "b@127.0.0.1"],
        "a@127.0.0.1: b@127.0.0.1\nb@127.0.0.1: a@127.0.0.1\n",
    );
}

/// A port that is free on this machine.
fn free_port() -> u16 {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap().port()
}

#[test]
fn nodes_that_use_no_port_mapper_find_each_other_where_they_are_told() {
    let net = Net::new();
    let (first, second) = (free_port(), free_port());
    let listen = format!("127.0.0.1:{first}");
    let a = net.start("a", &["--no-epmd", "--listen", &listen]);
    let to_a = format!("a@127.0.0.1=127.0.0.1:{first}");
    let text = format!(
        "no-epmd = true\npeer = [\"{to_a}\"]\njoin = [\"a@127.0.0.1\"]\n\
         listen = \"127.0.0.1:{second}\"\n"
    );
    let file = net.file("b.toml", &text, 0o600);
    let b = net.start("b", &["--config", &file]);
    let nodes = [
        "call",
        "a@127.0.0.1",
        "erlang",
        "nodes",
        "[]",
        "--peer",
        &to_a,
    ];
    net.wait_for(&nodes, "['b@127.0.0.1']\n");
    // The mapper of this network knows neither.
    assert_eq!(net.run(&["nodes"]), printed(""));
    assert_eq!(net.run(&["ping", "a@127.0.0.1"]).status, Some(1));
    let port = second.to_string();
    let pong = net.run(&["ping", "b@127.0.0.1", "--peer-port", &port]);
    assert_eq!(pong, printed("pong\n"));
    drop((a, b));
}

#[test]
fn ticks_are_set_by_flags_and_by_a_file() {
    let net = Net::new();
    let file = net.file(
        "a.toml",
        "net-ticktime = \"8s\"\nnet-tickintensity = 10\n",
        0o600,
    );
    let _a = net.start("a", &["--config", &file]);
    let _b = net.start("b", &["--config", &file, "--net-ticktime", "1m"]);
    for (node, seconds) in [("a@127.0.0.1", "8\n"), ("b@127.0.0.1", "60\n")] {
        let asked = net.run(&["call", node, "net_kernel", "get_net_ticktime", "[]"]);
        assert_eq!(asked, printed(seconds));
    }
    let refused = net.run(&["start", "--name", "c@127.0.0.1", "--net-tickintensity", "3"]);
    let why = "net_tickintensity is a number from 4 to 1000, not 3";
    assert_eq!(refused, failed(2, why));
}

#[test]
fn ping_says_pong_or_pang_and_why() {
    let net = Net::new();
    let _a = net.start("a", &[]);
    assert_eq!(net.run(&["ping", "a@127.0.0.1"]), printed("pong\n"));
    let json = printed("{\"answer\":\"pong\",\"node\":\"a@127.0.0.1\"}\n");
    assert_eq!(net.run(&["ping", "--json", "a@127.0.0.1"]), json);
    let pang = |line: &str| Done {
        out: "pang\n".into(),
        ..failed(1, line)
    };
    let port = net.port;
    assert_eq!(
        net.run(&["ping", "x@127.0.0.1"]),
        pang(&format!(
            "cannot connect to x@127.0.0.1: no node named x@127.0.0.1 is registered with the port \
             mapper on 127.0.0.1:{port}; start it, or look for its name with `purlin nodes`"
        ))
    );
    assert_eq!(
        net.run(&["ping", "a@127.0.0.1", "--cookie", "another"]),
        pang(
            "cannot connect to a@127.0.0.1: a@127.0.0.1 closed the connection after our challenge \
             reply: its cookie is likely another; give its cookie with --cookie-file, \
             PURLIN_COOKIE or --cookie"
        )
    );
    let unknown = net.run(&["ping", "a@no-such-host.invalid"]);
    assert_eq!((unknown.out.as_str(), unknown.status), ("pang\n", Some(1)));
    let start = "purlin: cannot connect to a@no-such-host.invalid: the host of \
                 a@no-such-host.invalid is unknown: ";
    assert!(unknown.err.starts_with(start), "{}", unknown.err);
    let advice = "; check its spelling, or write an IP address after the @\n";
    assert!(unknown.err.ends_with(advice), "{}", unknown.err);
}

#[test]
fn the_log_of_a_node_names_who_has_another_cookie() {
    let net = Net::new();
    let a = net.start("a", &[]);
    net.run(&["ping", "a@127.0.0.1", "--cookie", "another"]);
    let line = a.log_line("has another cookie");
    assert!(line.contains("WARN") && line.contains("purlin-"), "{line}");
}

#[test]
fn call_prints_the_term_or_what_was_raised() {
    let net = Net::new();
    let a = net.start("a", &[]);
    let call =
        |function: &str, args: &str| net.run(&["call", "a@127.0.0.1", "demo", function, args]);
    assert_eq!(call("add", "[2, 3]"), printed("5\n"));
    assert_eq!(
        call("add", "[18446744073709551615, 1]"),
        printed("18446744073709551616\n")
    );
    assert_eq!(call("add", "[1, 0.5]."), printed("1.5\n"));
    assert_eq!(call("whoami", "[]"), printed("'a@127.0.0.1'\n"));
    assert_eq!(call("sleep", "[1]"), printed("ok\n"));
    let pid = call("spawn_counter", "[]").out;
    assert!(pid.starts_with("#Pid<a@127.0.0.1."), "{pid}");
    assert_eq!(
        net.run(&["call", "a@127.0.0.1", "demo", "add", "[2, 3]", "--json"]),
        printed("{\"text\":\"5\",\"value\":5}\n")
    );
    let raised = |line: &str| failed(1, line);
    assert_eq!(
        call("add", "[1, two]"),
        raised("demo:add/2 on a@127.0.0.1 raised error: badarith")
    );
    let crash = call("crash", "[]");
    let start = "purlin: demo:crash/0 on a@127.0.0.1 raised error: \
                 {panic,<<\"crashed, as was asked for\">>,{<<\"";
    assert_eq!((crash.out.as_str(), crash.status), ("", Some(1)));
    assert!(crash.err.starts_with(start), "{}", crash.err);
    assert!(crash.err.contains("demo.rs\">>,"), "{}", crash.err);
    let line = a.log_line("a function that was called panicked");
    assert!(line.contains("ERROR") && line.contains("demo.rs"), "{line}");
    assert_eq!(
        net.run(&["call", "a@127.0.0.1", "os", "cmd", "[\"ls\"]"]),
        raised(
            "os:cmd/1 on a@127.0.0.1 raised error: undef; the node has no such function, or does \
             not export it"
        )
    );
    let sleep = [
        "call",
        "a@127.0.0.1",
        "demo",
        "sleep",
        "[3600000]",
        "--timeout",
        "300ms",
    ];
    assert_eq!(
        net.run(&sleep),
        raised(
            "a@127.0.0.1 did not answer within 300ms, and whether the call took place is unknown; \
             --timeout waits longer"
        )
    );
}

#[test]
fn terms_that_do_not_parse_are_wrong_usage() {
    let net = Net::new();
    assert_eq!(
        net.run(&["call", "a@127.0.0.1", "demo", "add", "[2, 3"]),
        failed(
            2,
            "ARGS: line 1, column 6: expected `,`, `|` or `]`, found end of text (see `purlin call \
             --help`)"
        )
    );
    let not_a_list = net.run(&["call", "a@127.0.0.1", "demo", "add", "{2, 3}"]);
    assert_eq!(not_a_list.status, Some(2));
    assert!(
        not_a_list.err.contains("expected a list of arguments"),
        "{}",
        not_a_list.err
    );
    assert_eq!(
        net.run(&["send", "a@127.0.0.1", "echo", "{a,\n b"]),
        failed(
            2,
            "TERM: line 2, column 3: expected `,` or `}`, found end of text (see `purlin send \
             --help`)"
        )
    );
}

#[test]
fn send_reaches_a_registered_process_or_says_that_there_is_none() {
    let net = Net::new();
    let _a = net.start("a", &[]);
    assert_eq!(net.run(&["send", "a@127.0.0.1", "echo", "-5"]), printed(""));
    let json = printed("{\"node\":\"a@127.0.0.1\",\"sent\":true}\n");
    assert_eq!(
        net.run(&["send", "--json", "a@127.0.0.1", "echo", "hello"]),
        json
    );
    assert_eq!(
        net.run(&["send", "a@127.0.0.1", "nobody", "hello"]),
        failed(
            1,
            "no process of a@127.0.0.1 is registered as nobody; `purlin call a@127.0.0.1 erlang \
             registered '[]'` lists the names"
        )
    );
}

#[test]
fn nodes_shows_who_is_connected_to_whom() {
    let net = Net::new();
    assert_eq!(net.run(&["nodes"]), printed(""));
    let _a = net.start("a", &[]);
    assert_eq!(net.run(&["nodes"]), printed("a@127.0.0.1: nobody\n"));
    let _b = net.start("b", &["--join", "a@127.0.0.1"]);
    let _c = net.start("c", &["--join", "a@127.0.0.1", "--hidden"]);
    net.wait_for(
        &["nodes", "a@127.0.0.1"],
        "a@127.0.0.1: b@127.0.0.1, c@127.0.0.1 (hidden)\nb@127.0.0.1: a@127.0.0.1\n",
    );
    let shown = net.run(&["nodes", "b@127.0.0.1", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&shown.out).unwrap();
    let expected = serde_json::json!([
        {"node": "a@127.0.0.1", "visible": ["b@127.0.0.1"], "hidden": ["c@127.0.0.1"]},
        {"node": "b@127.0.0.1", "visible": ["a@127.0.0.1"], "hidden": []},
    ]);
    assert_eq!(json, expected);
    let other = finish(
        net.command(&["nodes", "--json"])
            .env("PURLIN_COOKIE", "another"),
    );
    assert!(other.out.contains("\"error\":"), "{}", other.out);
    assert_eq!(other.err, "purlin: none of these nodes answered\n");
    assert_eq!(other.status, Some(1));
}

#[test]
fn nodes_without_a_port_mapper_says_so() {
    let net = Net::new();
    let port = net.port;
    let command = &mut net.command(&["nodes"]);
    drop(net);
    let done = finish(command);
    assert_eq!((done.out.as_str(), done.status), ("", Some(1)));
    let start = format!("purlin: no port mapper (epmd) answers on 127.0.0.1:{port}: ");
    assert!(done.err.starts_with(&start), "{}", done.err);
}

#[test]
fn version_says_what_was_built() {
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        finish(&mut purlin(&["version"])),
        printed(&format!("purlin {version}\n"))
    );
    let verbose = finish(&mut purlin(&["version", "--verbose"])).out;
    let keys: Vec<&str> = verbose
        .lines()
        .filter_map(|l| l.split(' ').next())
        .collect();
    assert_eq!(keys, ["purlin", "commit", "built", "target", "OTP"]);
    assert!(verbose.ends_with("OTP     25, 28\n"), "{verbose}");
    let told = finish(&mut purlin(&["version", "--json"])).out;
    let json: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(json["version"], version);
    assert_eq!(json["otp"], serde_json::json!([25, 28]));
    let told: Vec<&String> = json.as_object().unwrap().keys().collect();
    assert_eq!(told, ["built", "commit", "otp", "target", "version"]);
}

#[test]
fn every_command_has_help_that_warns_of_cookies_in_arguments() {
    let main = finish(&mut purlin(&["--help"]));
    assert_eq!(main.status, Some(0));
    for command in [
        "start", "dev", "ping", "call", "send", "nodes", "epmd", "version",
    ] {
        assert!(
            main.out.contains(&format!("purlin {command}")),
            "{}",
            main.out
        );
        let help = finish(&mut purlin(&[command, "--help"]));
        assert_eq!(help, finish(&mut purlin(&["help", command])));
        assert_eq!((help.status, help.err.as_str()), (Some(0), ""));
        assert!(
            help.out.starts_with(&format!("purlin {command} ")),
            "{}",
            help.out
        );
        if help.out.contains("--cookie ") {
            assert!(help.out.contains("`ps` shows it"), "{}", help.out);
        }
    }
}

#[test]
fn wrong_usage_is_one_line_and_status_2() {
    let cases: &[(&[&str], &str)] = &[
        (
            &[],
            "which command? `purlin --help` lists them; `purlin dev` is a good first one",
        ),
        (
            &["pink"],
            "there is no command `pink`; `purlin --help` lists them",
        ),
        (&["ping"], "NODE is missing (see `purlin ping --help`)"),
        (
            &["ping", "shop"],
            "`shop` has no `@`; a node name is NAME@HOST, such as shop@127.0.0.1 (see `purlin ping \
             --help`)",
        ),
        (
            &["ping", "a@127.0.0.1", "b@127.0.0.1"],
            "`b@127.0.0.1` is one argument too many (see `purlin ping --help`)",
        ),
        (
            &["ping", "a@127.0.0.1", "--hidden"],
            "`purlin ping` takes no --hidden (see `purlin ping --help`)",
        ),
        (
            &["ping", "a@127.0.0.1", "--timeout", "5"],
            "--timeout is a time such as 500ms, 5s or 1m, not `5` (see `purlin ping --help`)",
        ),
        (
            &["ping", "a@127.0.0.1", "--timeout"],
            "--timeout needs a value (see `purlin ping --help`)",
        ),
        (
            &["ping", "a@127.0.0.1", "--log", "verbose"],
            "the log filter `verbose` cannot be read; write a level (error, warn, info, debug, trace, \
             off) or TARGET=LEVEL, separated by commas",
        ),
        (
            &["ping", "a@127.0.0.1", "--cookie", ""],
            "--cookie is empty; write one line of letters and digits into it",
        ),
        (
            &["call", "a@127.0.0.1", "demo", "add"],
            "ARGS is missing (see `purlin call --help`)",
        ),
        (
            &["start"],
            "the node needs a name: --name NAME@HOST, such as --name a@127.0.0.1 (see `purlin \
             start --help`)",
        ),
        (
            &["start", "--name", "a b@127.0.0.1"],
            "` ` cannot stand in the name `a b@127.0.0.1`; use letters, digits, `_` and `-`",
        ),
        (
            &["start", "--name", "a@203.0.113.1"],
            "`a@203.0.113.1` is not a name of this machine alone, and a node listens on loopback \
             unless told otherwise: add --listen 0.0.0.0:0 (or IP:PORT), or call it a@127.0.0.1",
        ),
        (
            &["start", "--name", "a@127.0.0.1", "--listen", "9100"],
            "--listen is IP:PORT, such as 127.0.0.1:9100 or 0.0.0.0:0, not `9100` (see `purlin \
             start --help`)",
        ),
        (
            &["start", "--name", "a@127.0.0.1", "--peer", "b@h:9100"],
            "--peer is NODE=IP:PORT, such as b@127.0.0.1=127.0.0.1:9101, not `b@h:9100` (see \
             `purlin start --help`)",
        ),
        (
            &["ping", "a@127.0.0.1", "--peer-port", "0"],
            "--peer-port is a number from 1 to 65535, not `0` (see `purlin ping --help`)",
        ),
        (
            &["start", "--name", "a@127.0.0.1", "--net-ticktime", "8"],
            "--net-ticktime is a time such as 500ms, 8s or 1m, not `8` (see `purlin start --help`)",
        ),
        (
            &["start", "--name", "a@127.0.0.1", "--app", "shop"],
            "there is no application `shop`; there is: demo (see `purlin start --help`)",
        ),
        (
            &["start", "--name", "a@127.0.0.1", "--http", "127.0.0.1:8080"],
            "there is no dashboard yet: leave --http out (see `purlin start --help`)",
        ),
        (
            &["dev", "--nodes", "0"],
            "--nodes is a number from 1 to 26, not `0` (see `purlin dev --help`)",
        ),
        (
            &["epmd", "--port", "70000"],
            "--port is a number from 0 to 65535, not `70000` (see `purlin epmd --help`)",
        ),
        (
            &["epmd", "--address", "localhost"],
            "--address is an IP address, or some separated by commas, not `localhost` (see `purlin \
             epmd --help`)",
        ),
    ];
    let net = Net::new();
    for (args, line) in cases {
        assert_eq!(net.run(args), failed(2, line), "{args:?}");
    }
    let port = finish(
        net.command(&["ping", "a@127.0.0.1"])
            .env("ERL_EPMD_PORT", "epmd"),
    );
    assert_eq!(
        port,
        failed(2, "ERL_EPMD_PORT is `epmd`, not a port from 1 to 65535")
    );
}

#[test]
fn names_and_ports_that_are_taken_are_refused() {
    let net = Net::new();
    let _a = net.start("a", &[]);
    assert_eq!(
        net.run(&["start", "--name", "a@127.0.0.1"]),
        failed(
            1,
            "the name a@127.0.0.1 is taken: a node of that name is registered on this host; stop \
             it, or choose another name"
        )
    );
    let taken = format!("127.0.0.1:{}", net.port);
    assert_eq!(
        net.run(&["start", "--name", "b@127.0.0.1", "--listen", &taken]),
        failed(
            1,
            &format!(
                "cannot listen on {taken}: Address already in use (os error 98); choose another \
                 with --listen, with port 0 for any free one"
            )
        )
    );
    assert_eq!(
        net.run(&["epmd"]),
        failed(
            1,
            &format!(
                "cannot listen on {taken}: Address already in use (os error 98); if a port mapper \
                 runs there already, use that one, or choose another port with --port"
            )
        )
    );
}

#[test]
fn start_makes_a_cookie_that_commands_of_the_same_user_find() {
    use std::os::unix::fs::PermissionsExt;
    let net = Net::new();
    let file = net.home.join(".erlang.cookie");
    assert_eq!(
        finish(&mut net.stranger(&["ping", "a@127.0.0.1"])),
        failed(
            1,
            &format!(
                "there is no cookie: {} does not exist; give one with --cookie-file, --cookie or \
                 PURLIN_COOKIE",
                shown(&file)
            )
        )
    );
    let node = Running::spawn(&mut net.stranger(&["start", "--name", "a@127.0.0.1"]));
    node.line();
    let metadata = std::fs::metadata(&file).unwrap();
    assert_eq!(
        (metadata.permissions().mode() & 0o777, metadata.len()),
        (0o400, 20)
    );
    assert_eq!(
        finish(&mut net.stranger(&["ping", "a@127.0.0.1"])),
        printed("pong\n")
    );
    let left: Vec<_> = std::fs::read_dir(&net.home).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn the_cookie_comes_from_the_flag_then_a_file_then_the_environment_then_home() {
    let net = Net::new();
    let _a = net.start("a", &[]);
    let right = net.file("right", &format!("{}\n", net.cookie), 0o400);
    let ping = |args: &[&str], environment: &str| {
        let mut all = vec!["ping", "a@127.0.0.1"];
        all.extend(args);
        finish(net.stranger(&all).env("PURLIN_COOKIE", environment)).status
    };
    net.file(".erlang.cookie", "wrong", 0o600);
    assert_eq!(
        ping(
            &["--cookie", &net.cookie, "--cookie-file", "/nowhere"],
            "wrong"
        ),
        Some(0)
    );
    assert_eq!(ping(&["--cookie-file", &right], "wrong"), Some(0));
    assert_eq!(ping(&[], &net.cookie), Some(0));
    assert_eq!(
        finish(&mut net.stranger(&["ping", "a@127.0.0.1"])).status,
        Some(1)
    );
    net.file(".erlang.cookie", &net.cookie, 0o600);
    assert_eq!(
        finish(&mut net.stranger(&["ping", "a@127.0.0.1"])).status,
        Some(0)
    );
}

#[test]
fn cookie_files_that_cannot_be_used_are_refused_in_one_line() {
    let net = Net::new();
    let ping = |file: &str| net.run(&["ping", "a@127.0.0.1", "--cookie-file", file]);
    assert_eq!(
        ping("/nowhere"),
        failed(1, "there is no cookie file /nowhere")
    );
    let home = shown(&net.home);
    assert_eq!(
        ping(&home),
        failed(1, &format!("the cookie file {home} is not a file"))
    );
    let open = net.file("open", "secret", 0o440);
    assert_eq!(
        ping(&open),
        failed(
            1,
            &format!("the cookie file {open} can be read by others; run `chmod 400 {open}`")
        )
    );
    let empty = net.file("empty", "\n", 0o400);
    assert_eq!(
        ping(&empty),
        failed(
            1,
            &format!(
                "the cookie file {empty} is empty; write one line of letters and digits into it"
            )
        )
    );
    let two_lines = net.file("two", "one\ntwo\n", 0o400);
    assert_eq!(
        ping(&two_lines),
        failed(
            1,
            &format!(
                "the cookie file {two_lines} has a character that is not printable ASCII; write \
                 one line of letters and digits into it"
            )
        )
    );
    // For root every file can be read, and only the other refusals can be seen.
    let hidden = net.file("hidden", "secret", 0o000);
    if std::fs::read(&hidden).is_err() {
        assert_eq!(
            ping(&hidden),
            failed(
                1,
                &format!(
                    "cannot read the cookie file {hidden}: Permission denied (os error 13); make \
                     it readable by you, and you only"
                )
            )
        );
    }
}

#[test]
fn a_node_is_described_by_a_file_and_flags_come_before_it() {
    let net = Net::new();
    let cookie = &net.cookie;
    let text =
        format!("name = \"x@127.0.0.1\"\ncookie = \"{cookie}\"\nhidden = true\napp = [\"demo\"]\n");
    let file = net.file("node.toml", &text, 0o600);
    let args = ["start", "--config", &file, "--name", "a@127.0.0.1"];
    let node = Running::spawn(&mut net.stranger(&args));
    assert!(node.line().starts_with("ready a@127.0.0.1 on 127.0.0.1:"));
    assert_eq!(
        net.run(&["call", "a@127.0.0.1", "demo", "whoami", "[]"]),
        printed("'a@127.0.0.1'\n")
    );
    let wrong = |text: &str, line: &str| {
        let file = net.file("wrong.toml", text, 0o600);
        let done = net.run(&["start", "--config", &file]);
        assert_eq!(done, failed(2, &format!("{file}: {line}")));
    };
    wrong("name = 1\n", "`name` is a text in quotes");
    wrong(
        "join = \"a@127.0.0.1\"\n",
        "`join` is a list of texts, such as [\"x\"]",
    );
    wrong(
        "nam = \"a\"\n",
        "there is no key `nam`; there are name, cookie, cookie-file, hidden, join, listen, app, \
         http, no-epmd, peer, peer-port, net-ticktime, net-tickintensity",
    );
    wrong(
        "name = \"a@h\"\n]\n",
        "line 2: missing table open, expected `[`",
    );
}

#[test]
fn logs_are_json_when_wanted() {
    let net = Net::new();
    let a = net.start("a", &["--log-format", "json", "--log", "info"]);
    net.run(&["ping", "a@127.0.0.1"]);
    let line = a.log_line("\"connected\"");
    let json: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(json["level"], "INFO");
}

#[test]
fn what_is_logged_is_said_by_the_environment_or_before_it_by_a_flag() {
    let net = Net::new();
    let start = |alive: &str, flags: &[&str]| {
        let name = format!("{alive}@127.0.0.1");
        let all = [&["start", "--name", &name], flags].concat();
        let node = Running::spawn(net.command(&all).env("PURLIN_LOG", "debug"));
        assert!(node.line().starts_with("ready "));
        node
    };
    let (told, quiet) = (start("told", &[]), start("quiet", &["--log", "info"]));
    net.run(&["ping", "told@127.0.0.1"]);
    net.run(&["ping", "quiet@127.0.0.1"]);
    told.log_line("what both sides can do");
    // The other line would follow this one.
    quiet.log_line("connected");
    quiet.signal("TERM");
    let done = quiet.finish();
    assert!(!done.err.contains("what both sides can do"), "{}", done.err);
}

#[test]
fn dev_runs_a_connected_cluster_and_ends_it() {
    let net = Net::new();
    let dev = Running::spawn(&mut net.command(&["dev"]));
    for letter in ["a", "b", "c"] {
        let ready = dev.line();
        assert!(
            ready.starts_with(&format!("ready {letter}@127.0.0.1 on 127.0.0.1:")),
            "{ready}"
        );
    }
    let mut text = String::new();
    while !text.ends_with("Ctrl-C ends them all.\n") {
        text.push_str(&dev.line());
    }
    let erl = format!(
        "    ERL_EPMD_PORT={} erl -name me@127.0.0.1 -setcookie '{}'\n",
        net.port, net.cookie
    );
    assert!(text.contains(&erl), "{text}");
    assert!(
        text.contains(" iex --name me@127.0.0.1 --cookie '"),
        "{text}"
    );
    assert_eq!(
        net.run(&["nodes", "a@127.0.0.1"]),
        printed(
            "a@127.0.0.1: b@127.0.0.1, c@127.0.0.1\nb@127.0.0.1: a@127.0.0.1, c@127.0.0.1\n\
             c@127.0.0.1: a@127.0.0.1, b@127.0.0.1\n"
        )
    );
    assert_eq!(
        net.run(&["call", "c@127.0.0.1", "demo", "add", "[2, 3]"]),
        printed("5\n")
    );
    dev.signal("INT");
    let done = dev.finish();
    assert_eq!(done.status, Some(0), "{}", done.err);
    assert!(
        done.err.contains("a | ") && !done.err.contains('\x1b'),
        "{}",
        done.err
    );
    assert_eq!(net.run(&["nodes"]), printed(""));
}

#[test]
fn the_nodes_of_dev_end_when_it_is_killed() {
    let net = Net::new();
    let dev = Running::spawn(&mut net.command(&["dev", "--nodes", "2"]));
    dev.line();
    dev.line();
    dev.signal("KILL");
    assert_eq!(dev.finish().status, None);
    net.wait_for(&["nodes"], "");
}

#[test]
fn dev_ends_all_nodes_when_one_does_not_start() {
    let net = Net::new();
    let _b = net.start("b", &[]);
    let done = finish(&mut net.command(&["dev", "--log", "off"]));
    assert!(
        done.out.starts_with("ready a@127.0.0.1 on "),
        "{}",
        done.out
    );
    assert_eq!(
        (done.err.as_str(), done.status),
        (
            "purlin: b@127.0.0.1 did not start: the name b@127.0.0.1 is taken: a node of that name \
             is registered on this host; stop it, or choose another name\n",
            Some(1)
        )
    );
    assert_eq!(net.run(&["nodes"]), printed("b@127.0.0.1: nobody\n"));
}
