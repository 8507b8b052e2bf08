//! What `--help` prints.

pub(crate) const PURLIN: &str = "\
Purlin: distributed Erlang in Rust.

    purlin start --name NAME@HOST   run a node in the foreground
    purlin dev                      a local cluster with the example applications
    purlin ping NODE                is a node there? prints pong or pang
    purlin call NODE MODULE FUNCTION 'ARGS'
                                    call a function, print what it returns
    purlin send NODE NAME 'TERM'    send a message to a registered process
    purlin nodes [NODE]             who is connected to whom
    purlin epmd                     the port mapper on its own
    purlin version [--verbose]      version, commit, target, OTP releases tested

`purlin COMMAND --help` says more about each. NODE is a name such as a@127.0.0.1, of a node of
Purlin, Erlang or Elixir. Exit status: 0, 1 for a refusal or failure, 2 for wrong usage.
";

macro_rules! cookie_flags {
    () => {
        "\
    --cookie C         the cookie. `ps` shows it to every user of this machine: better use
    --cookie-file F    a file with the cookie, readable by its owner only
                       without either: PURLIN_COOKIE, then ~/.erlang.cookie
"
    };
}

macro_rules! log_flags {
    () => {
        "\
    --log FILTER       what to log on standard error: error, warn, info, debug, trace, off, or
                       TARGET=LEVEL, separated by commas; without it PURLIN_LOG
    --log-format FMT   human (default) or json
"
    };
}

macro_rules! client_help {
    ($text:literal) => {
        concat!(
            $text,
            cookie_flags!(),
            "    --timeout TIME     how long to wait: 500ms, 5s (default), 1m
    --json             print JSON
    --peer NODE=IP:PORT    where NODE listens, and
    --peer-port PORT       where every node listens; no port mapper is asked then
",
            log_flags!(),
            "
Environment: PURLIN_COOKIE, PURLIN_LOG, ERL_EPMD_PORT.
"
        )
    };
}

pub(crate) const START: &str = concat!(
    "\
purlin start --name NAME@HOST [FLAGS]: run a node in the foreground until SIGTERM or SIGINT.

Prints `ready NAME on IP:PORT` when other nodes can connect. As in Erlang, a HOST with a dot
(a name or an address) means long names, one without means short names, and the two do not mix.

    --name NAME@HOST   the name of the node
",
    cookie_flags!(),
    "                       if ~/.erlang.cookie does not exist, it is made with mode 0400
    --hidden           keep out of nodes() of others
    --join NODE        connect to this node, now or as soon as it is there, and again when it is
                       lost; may be repeated
    --listen IP:PORT   where to accept connections; port 0 is any free one. Without it a free
                       port of 127.0.0.1
    --no-epmd          neither register with a port mapper nor ask one. Other nodes are found by:
    --peer NODE=IP:PORT    where this node listens; may be repeated
    --peer-port PORT       where all others listen, as -erl_epmd_port in Erlang; with --no-epmd
                           also this one, unless --listen says otherwise
    --net-ticktime TIME    how long a silent node is borne: 60s unless told otherwise
    --net-tickintensity N  how often in that time is looked: 4 (default) to 1000 times
    --app NAME         run an application: demo; may be repeated
    --http IP:PORT     the dashboard: not available yet
    --config FILE      a TOML file with the same keys: name, cookie, cookie-file, hidden, join,
                       listen, app, http, no-epmd, peer, peer-port, net-ticktime, net-tickintensity.
                       Flags come before it
",
    log_flags!(),
    "
Environment: PURLIN_COOKIE, PURLIN_LOG, ERL_EPMD_PORT (port of the port mapper, 4369),
ERL_EPMD_ADDRESS (where a port mapper started here listens, besides loopback).
"
);

pub(crate) const PING: &str = client_help!(
    "\
purlin ping NODE [FLAGS]: is a node there? Prints pong (status 0), or pang (status 1) and why.

"
);

pub(crate) const CALL: &str = client_help!(
    "\
purlin call NODE MODULE FUNCTION 'ARGS' [FLAGS]: call a function, print what it returns.

ARGS is an Erlang list, such as `[1, <<\"a\">>, {ok, #{k => 1}}]` or `[]`.

"
);

pub(crate) const SEND: &str = client_help!(
    "\
purlin send NODE NAME 'TERM' [FLAGS]: send a message to a registered process.

Done when the message is in the mailbox of the process. TERM is an Erlang term, such as
`{add, [1, <<\"a\">>]}`.

"
);

pub(crate) const NODES: &str = client_help!(
    "\
purlin nodes [NODE] [FLAGS]: who is connected to whom.

Asks NODE and every node that it is connected to; without NODE, all nodes that are registered
with the port mapper of this machine.

"
);

pub(crate) const DEV: &str = concat!(
    "\
purlin dev [FLAGS]: a local cluster, each node an OS process with the example applications.

Nodes are called a@127.0.0.1, b@127.0.0.1 and so on, and are connected to each other. Prints
their `ready` lines and how to join from erl and iex. Ends them all on SIGTERM and SIGINT (Ctrl-C).

    --nodes N          how many, 1 to 26; 3 unless told otherwise
    --http IP:PORT     the dashboard: not available yet
",
    cookie_flags!(),
    "                       if ~/.erlang.cookie does not exist, it is made with mode 0400
",
    log_flags!(),
    "
Environment: PURLIN_COOKIE, PURLIN_LOG, ERL_EPMD_PORT, ERL_EPMD_ADDRESS, NO_COLOR.
"
);

pub(crate) const EPMD: &str = concat!(
    "\
purlin epmd [FLAGS]: the port mapper on its own, in the foreground until SIGTERM or SIGINT.

Nodes of Purlin start one where none runs, so this is for machines whose nodes come and go.

    --address IP,...   where to listen besides loopback: 0.0.0.0 for everywhere; without it
                       ERL_EPMD_ADDRESS, else loopback alone
    --port PORT        its port; without it ERL_EPMD_PORT, else 4369
",
    log_flags!(),
    "
Environment: PURLIN_LOG, ERL_EPMD_PORT, ERL_EPMD_ADDRESS.
"
);

pub(crate) const VERSION: &str = "\
purlin version [FLAGS]: the version of this binary.

    --verbose          also commit, build time, target and OTP releases tested
    --json             print JSON, all of it
";
