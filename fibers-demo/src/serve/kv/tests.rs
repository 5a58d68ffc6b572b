//! Conversations in RESP without a socket: good ones, bad ones, and ones that bad luck has changed.

use std::io::ErrorKind;

use super::*;
use crate::serve::kv::resp::BULK_MAX;
use crate::serve::script::{BadLuck, Heard, Script, Then, check_splits, play};

fn server() -> Kv {
    Kv::new(1 << 20)
}

/// What is typed, a command a line, as a client sends it.
fn command(line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    let bulks = words
        .iter()
        .map(|word| format!("${}\r\n{word}\r\n", word.len()));
    format!("*{}\r\n{}", words.len(), bulks.collect::<String>())
}

fn commands(lines: &[&str]) -> String {
    lines.iter().map(|line| command(line)).collect()
}

/// The answers, one behind the other with `|` for the ends of lines.
fn answers(heard: &Heard) -> String {
    heard.text().replace("\r\n", "|")
}

/// Commands on a fresh server, and their answers.
const GOOD: &[(&[&str], &str)] = &[
    (&["PING", "ping hello", "ECHO x"], "+PONG|$5|hello|$1|x|"),
    (
        &["SET a 1", "GET a", "GET b", "get a"],
        "+OK|$1|1|$-1|$1|1|",
    ),
    (
        &[
            "SET a 1",
            "SET a 2 NX",
            "SET b 2 XX",
            "SET b 3 nx",
            "GET a",
            "GET b",
        ],
        "+OK|$-1|$-1|+OK|$1|1|$1|3|",
    ),
    (
        &["SET a 1", "SET a 2 GET", "SET b 1 GET", "GET a"],
        "+OK|$1|1|$-1|$1|2|",
    ),
    (
        &[
            "SET a 1 EX 100",
            "TTL a",
            "SET a 2 KEEPTTL",
            "TTL a",
            "SET a 3",
            "TTL a",
            "TTL b",
        ],
        "+OK|:100|+OK|:100|+OK|:-1|:-2|",
    ),
    (
        &[
            "SET a 1 PX 99700",
            "TTL a",
            "PERSIST a",
            "PERSIST a",
            "PTTL a",
        ],
        "+OK|:100|:1|:0|:-1|",
    ),
    (
        &[
            "SET a 1",
            "EXPIRE a 10",
            "TTL a",
            "EXPIRE b 10",
            "PEXPIRE a -1",
            "GET a",
        ],
        "+OK|:1|:10|:0|:1|$-1|",
    ),
    (
        &[
            "SET a 1 EX 0",
            "SET a 1 EX -1",
            "SET a 1 EX x",
            "SET a 1 EX",
        ],
        "-ERR invalid expire time in 'set' command|-ERR invalid expire time in 'set' command|\
      -ERR value is not an integer or out of range|-ERR syntax error|",
    ),
    (
        &["SET a 1 EX 9223372036854775807", "SET a 1 PXAT 1", "GET a"],
        "-ERR invalid expire time in 'set' command|+OK|$-1|",
    ),
    (
        &["EXPIRE a 9223372036854775807", "EXPIRE a x"],
        "-ERR invalid expire time in 'expire' command|-ERR value is not an integer or out of range|",
    ),
    (
        &[
            "SET a 1 EX 1 PX 1",
            "SET a 1 NX XX",
            "SET a 1 WHAT",
            "SET a",
        ],
        "-ERR syntax error|-ERR syntax error|-ERR syntax error|\
      -ERR wrong number of arguments for 'set' command|",
    ),
    (
        &[
            "INCR n",
            "INCR n",
            "INCRBY n 40",
            "DECR n",
            "DECRBY n -1",
            "GET n",
        ],
        ":1|:2|:42|:41|:42|$2|42|",
    ),
    (
        &[
            "SET n 9223372036854775807",
            "INCR n",
            "INCRBY n x",
            "SET n x",
            "INCR n",
        ],
        "+OK|-ERR increment or decrement would overflow|\
      -ERR value is not an integer or out of range|+OK|\
      -ERR value is not an integer or out of range|",
    ),
    (
        &["DECRBY n -9223372036854775808"],
        "-ERR decrement would overflow|",
    ),
    (
        &["SET n 1 EX 100", "INCR n", "TTL n", "APPEND n 0", "TTL n"],
        "+OK|:2|:100|:2|:100|",
    ),
    (
        &["APPEND a xy", "APPEND a z", "GET a", "STRLEN a", "STRLEN b"],
        ":2|:3|$3|xyz|:3|:0|",
    ),
    (
        &[
            "MSET a 1 b 2",
            "MGET a b c",
            "DBSIZE",
            "EXISTS a b c a",
            "DEL a c",
            "DBSIZE",
            "FLUSHALL",
            "DBSIZE",
        ],
        "+OK|*3|$1|1|$1|2|$-1|:2|:3|:1|:1|+OK|:0|",
    ),
    (
        &["MSET a"],
        "-ERR wrong number of arguments for 'mset' command|",
    ),
    (
        &["MSET a 1 b"],
        "-ERR wrong number of arguments for 'mset' command|",
    ),
    (
        &["SELECT 0", "SELECT 1", "SELECT x"],
        "+OK|-ERR DB index is out of range|-ERR value is not an integer or out of range|",
    ),
    (
        &[
            "COMMAND",
            "COMMAND DOCS",
            "CONFIG GET save",
            "CONFIG GET x",
            "CONFIG SET save 1",
        ],
        "*0|*0|*2|$4|save|$0||*0|-ERR CONFIG knows GET only|",
    ),
    (
        &["NONSENSE a b", "GET"],
        "-ERR unknown command 'NONSENSE', with args beginning with: 'a' 'b' |\
      -ERR wrong number of arguments for 'get' command|",
    ),
    (&["QUIT", "PING"], "+OK|"),
];

/// Bytes on a fresh server, and the answers. No `-ERR Protocol` in them: the conversation went on.
const INLINE: &[(&str, &str)] = &[
    ("PING\r\n", "+PONG|"),
    ("PING\n", "+PONG|"),
    ("\r\n\r\n  \r\nPING\r\n", "+PONG|"),
    ("  set  a   b  \r\nget a\r\n", "+OK|$1|b|"),
    ("echo \"a b\\n\\x41\\\"\\q\"\r\n", "$7|a b\nA\"q|"),
    ("echo 'a \\'b\\n'\r\n", "$6|a 'b\\n|"),
    ("echo \"\"\r\n", "$0||"),
    ("echo a\"b c\"\r\n", "$4|ab c|"),
    ("*0\r\nPING\r\n", "+PONG|"),
    ("*-1\r\nPING\r\n", "+PONG|"),
    ("*1\r\n$4\r\nPING\r\nPING\r\n", "+PONG|+PONG|"),
    ("*2\r\n$4\r\nECHO\r\n$0\r\n\r\n", "$0||"),
    ("*2\r\n$4\r\nECHO\r\n$4\r\na\r\nb\r\n", "$4|a|b|"),
    (
        "*2\r\n$3\r\nfoo\r\n$3\r\na\rb\r\n",
        "-ERR unknown command 'foo', with args beginning with: 'a b' |",
    ),
];

/// Bytes that are no commands, and what Redis says to them.
const BAD: &[(&str, &str)] = &[
    ("*x\r\n", "invalid multibulk length"),
    ("*\r\n", "invalid multibulk length"),
    ("*+1\r\n", "invalid multibulk length"),
    ("*01\r\n", "invalid multibulk length"),
    ("*1048577\r\n", "invalid multibulk length"),
    ("*99999999999999999999\r\n", "invalid multibulk length"),
    ("*1\r\nPING\r\n", "expected '$', got 'P'"),
    ("*1\r\n\r\n", "expected '$', got '\\r'"),
    ("*1\r\n$-1\r\n", "invalid bulk length"),
    ("*1\r\n$x\r\n", "invalid bulk length"),
    ("*1\r\n$16777217\r\n", "invalid bulk length"),
    ("*1\r\n$99999999999999999999\r\n", "invalid bulk length"),
    ("echo \"a\r\n", "unbalanced quotes in request"),
    ("echo 'a\r\n", "unbalanced quotes in request"),
    ("echo a\"b\r\n", "unbalanced quotes in request"),
    ("echo \"a\"b\r\n", "unbalanced quotes in request"),
];

#[test]
fn commands_are_answered_as_redis_answers_them() {
    for (lines, expected) in GOOD {
        let heard = play(&server(), commands(lines).as_bytes());
        assert_eq!(answers(&heard), *expected, "{lines:?}");
        assert_eq!((heard.writes, heard.complaints), (1, 0), "{lines:?}");
    }
    for (said, expected) in INLINE {
        let heard = play(&server(), said.as_bytes());
        assert_eq!(answers(&heard), *expected, "{said:?}");
    }
}

#[test]
fn what_is_no_command_ends_the_conversation_in_the_words_of_redis() {
    let long_word = "x".repeat(LINE_MAX + 1);
    let long = [
        (format!("*{long_word}"), "too big mbulk count string"),
        (format!("*1\r\n${long_word}"), "too big bulk count string"),
        (long_word, "too big inline request"),
    ];
    let bad = BAD.iter().map(|(said, error)| (said.to_string(), *error));
    for (said, error) in bad.chain(long) {
        let shown = &said[..said.len().min(100)];
        let heard = play(&server(), format!("PING\r\n{said}").as_bytes());
        let expected = format!("+PONG|-ERR Protocol error: {error}|");
        assert_eq!(answers(&heard), expected, "{shown:?}");
        assert_eq!(heard.end, Some(Ok(End::Ours)), "{shown:?}");
        assert_eq!((heard.requests, heard.complaints), (1, 1), "{shown:?}");
    }
}

#[test]
fn the_pieces_in_which_it_comes_do_not_matter() {
    let good = GOOD.iter().map(|(lines, _)| commands(lines));
    let raw = INLINE.iter().chain(BAD).map(|(said, _)| said.to_string());
    for said in good.chain(raw) {
        check_splits(server, said.as_bytes(), |heard| {
            format!("{} {:?} {}", heard.text(), heard.end, heard.complaints)
        });
    }
}

#[test]
fn a_string_of_the_greatest_size_fits_however_it_comes() {
    let value = "v".repeat(BULK_MAX);
    let said = commands(&[&format!("SET a {value}"), "STRLEN a", "GET a"]);
    let kv = Kv::new(64 << 20);
    let heard = Script::new(
        &[&said.as_bytes()[..100], &said.as_bytes()[100..]],
        Then::Ends,
    )
    .play(&kv);
    let expected = format!("+OK|:{BULK_MAX}|${BULK_MAX}|{value}|");
    assert!(answers(&heard) == expected);
    let more = commands(&["APPEND a x", "STRLEN a"]);
    let expected = "-ERR string exceeds maximum allowed size (proto-max-bulk-len)|:16777216|";
    assert_eq!(answers(&play(&kv, more.as_bytes())), expected);
}

#[test]
fn neither_a_command_nor_an_answer_takes_all_memory() {
    let kv = Kv::new(64 << 20);
    let value = "v".repeat(BULK_MAX);
    let many = format!("ECHO {}", [value.as_str(); 5].join(" "));
    let heard = play(&kv, command(&many).as_bytes());
    assert_eq!(answers(&heard), "-ERR Protocol error: too big command|");
    let said = commands(&[&format!("SET a {value}"), "MGET a a a a a a"]);
    assert_eq!(
        answers(&play(&kv, said.as_bytes())),
        "+OK|-ERR the answer would be too long|"
    );
}

#[test]
fn a_full_store_says_so_and_goes_on() {
    let kv = Kv::new(1_000);
    let value = "v".repeat(900);
    let said = commands(&[&format!("SET a {value}"), "SET a x", "GET a"]);
    let expected = "-OOM command not allowed when used memory > 'maxmemory'.|+OK|$1|x|";
    assert_eq!(answers(&play(&kv, said.as_bytes())), expected);
}

#[test]
fn info_counts_keys() {
    let said = commands(&["MSET a 1 b 2", "EXPIRE a 100", "INFO"]);
    let heard = play(&server(), said.as_bytes());
    assert!(
        heard.text().contains("\r\ndb0:keys=2,expires=1\r\n"),
        "{}",
        heard.text()
    );
}

#[test]
fn a_command_cut_short_is_not_done() {
    let kv = server();
    let said = command("SET a 1");
    for length in 1..said.len() - 2 {
        let heard = play(&kv, &said.as_bytes()[..length]);
        assert_eq!(
            (heard.text().as_str(), heard.end),
            ("", Some(Ok(End::Theirs)))
        );
    }
    assert_eq!(answers(&play(&kv, b"GET a\r\n")), "$-1|");
    let heard = Script::new(&[b"*1\r\n$4\r\nPI"], Then::Resets).play(&kv);
    assert_eq!(heard.end, Some(Err(ErrorKind::ConnectionReset)));
    let heard = Script::new(&[b"*1\r\n$4\r\nPI"], Then::IsSilent).play(&kv);
    let expected = "-ERR Protocol error: timeout in the middle of a command|";
    assert_eq!(answers(&heard), expected);
}

#[test]
fn a_stop_answers_what_has_come() {
    let said = "PING\r\n".repeat(3);
    let heard = Script::new(&[said.as_bytes()], Then::IsSilent)
        .stopping()
        .play(&server());
    assert_eq!(answers(&heard), "+PONG|+PONG|+PONG|");
    assert_eq!(heard.end, Some(Ok(End::Theirs)));
}

#[test]
fn bad_luck_breaks_nothing() {
    let good: Vec<String> = GOOD.iter().map(|(lines, _)| commands(lines)).collect();
    let raw = INLINE.iter().chain(BAD).map(|(said, _)| said.as_bytes());
    let corpus: Vec<&[u8]> = good.iter().map(String::as_bytes).chain(raw).collect();
    let words: [&[u8]; 14] = [
        b"\r\n",
        b"\n",
        b"\0",
        b" ",
        b"*",
        b"$",
        b"-1",
        b"\"",
        b"'",
        b"\\x",
        b"\xff",
        b"9223372036854775808",
        b"*3\r\n$3\r\nSET\r\n",
        b"$-1\r\n",
    ];
    // Room for three keys or so: it is full most of the time.
    let most_bytes = 500;
    let mut luck = BadLuck::new();
    let kv = Kv::new(most_bytes);
    for round in 0..BadLuck::rounds() {
        let said = luck.mutated(&corpus, &words);
        let heard = luck.play(&kv, &said);
        // MGET is the one that says more than it was told: some values, for four bytes of key each.
        let most = (heard.requests as usize + 1) * 1_024 + said.len() * most_bytes;
        assert!(heard.bytes.len() <= most, "round {round}: {said:?}");
        assert!(kv.store.bytes() <= most_bytes, "round {round}: {said:?}");
    }
}
