use super::*;

#[test]
fn a_rule_needs_name_percentage_and_fault() {
    assert_eq!(
        problems(&document("rules:\n- {}\n")),
        ["rules[0].name: missing", "rules[0].percentage: missing", "rules[0].fault: missing"]
    );
    let text = document("rules:\n- {name: r, percentage: 101, ttl: 0s, fault: {}}\n");
    assert_eq!(
        problems(&text),
        [
            "rules[0].percentage: rule \"r\": 101 is not between 0 and 100",
            "rules[0].fault: rule \"r\": it says nothing",
            "rules[0].ttl: rule \"r\": it must be longer than 0s",
        ]
    );
}

#[test]
fn there_are_not_more_rules_than_allowed() {
    let text = document(
        "limits: {rules_max: 1}\nrules:\n- {name: r, percentage: 1, fault: {delay: 1s}}\n- {name: s, percentage: 1, fault: {delay: 1s}}\n",
    );
    assert_eq!(problems(&text), ["rules: 2 rules are more than limits.rules_max 1"]);
}

#[test]
fn samples_are_one_of_five() {
    for (sample, expected) in [
        ("{}", "sample: it says nothing"),
        ("{mode: sticky}", "sample.key: missing"),
        ("{mode: sticky, key: user}", "sample.key: \"user\" is not a key"),
        ("{mode: sticky, key: 'header:a b'}", "sample.key: \"a b\" is not a header name"),
        ("{mode: exact, key: trace}", "sample.key: a key belongs to mode: sticky"),
        ("{key: trace}", "sample.key: a key belongs to mode: sticky"),
        ("{mode: exakt}", "sample.mode: \"exakt\" is not one of random, exact, sticky"),
        ("{attempt: 0}", "sample.attempt: there is no attempt 0"),
        ("{attempt: 1, first: 2}", "sample: mode, first, every and attempt exclude each other"),
        ("{first: 0}", "sample.first: 0 picks nothing"),
        ("{every: 0}", "sample.every: 0 picks nothing"),
        ("{first: 1, every: 2}", "sample: mode, first, every and attempt exclude each other"),
        ("{mode: exact, every: 2}", "sample: mode, first, every and attempt exclude each other"),
    ] {
        assert_eq!(rule_problems(&format!("fault: {{delay: 1s}}, sample: {sample}")), [expected]);
    }
    let sample = |written: &str| {
        let text = format!("rules:\n- {{name: r, percentage: 5, fault: {{delay: 1s}}, sample: {written}}}\n");
        crate::load_text(&document(&text)).unwrap().1.rules[0].sample.clone()
    };
    assert_eq!(sample("{mode: sticky, key: source}"), Sample::Sticky(StickyKey::Source));
    let user = http::HeaderName::from_static("x-user");
    assert_eq!(sample("{mode: sticky, key: 'header:X-User'}"), Sample::Sticky(StickyKey::Header(user)));
    assert_eq!(sample("{attempt: 2}"), Sample::Attempt(2.try_into().unwrap()));
}

#[test]
fn a_rule_that_goes_by_a_trace_or_a_request_id_hangs_on_ids() {
    for (fields, expected) in [
        ("percentage: 5", false),
        ("percentage: 5, sample: {mode: exact}", false),
        ("percentage: 5, sample: {mode: sticky, key: source}", false),
        ("percentage: 5, sample: {mode: sticky, key: 'header:x-user'}", false),
        ("percentage: 5, match: {headers: {x-user: '7'}}", false),
        ("percentage: 5, sample: {mode: sticky, key: trace}", true),
        ("percentage: 5, sample: {mode: sticky, key: 'header:X-Request-Id'}", true),
        ("percentage: 5, sample: {attempt: 2}", true),
        ("percentage: 5, match: {headers: {traceparent: {present: false}}}", true),
        ("percentage: 5, match: {headers: {x-b3-sampled: '1'}}", true),
        ("percentage: 5, enabled: false, sample: {mode: sticky, key: trace}", false),
    ] {
        let config = load(&document(&format!("rules:\n- {{name: r, {fields}, fault: {{delay: 1s}}}}\n")));
        assert_eq!(config.rules[0].hangs_on_ids(), expected, "{fields}");
    }
}

#[test]
fn matches_make_sense() {
    for (condition, expected) in [
        ("listener: wep", "match.listener: there is no listener \"wep\""),
        ("cluster: x", "match.cluster: there is no cluster \"x\""),
        ("direction: in", "match.direction: \"in\" is not one of outbound, inbound"),
        ("source: 10.0.0.0/99", "match.source: \"10.0.0.0/99\" is not an address range"),
        ("source: [10.0.0.1, x]", "match.source[1]: \"x\" is not an address range"),
        ("source: []", "match.source: the list is empty"),
        ("method: get", "match.method: \"get\" matches nothing: methods have capital letters"),
        ("method: [\"G T\"]", "match.method[0]: \"G T\" is not an HTTP method"),
        ("path: v1", "match.path: \"v1\" matches nothing: every path begins with '/'"),
        ("path: {prefix: \"/a?b\"}", "match.path: \"/a?b\" matches nothing: a path has no query"),
        ("path: {}", "match.path: it says nothing"),
        ("path: {exact: /a, prefix: /b}", "match.path: exact and prefix exclude each other"),
        ("headers: {\"a b\": x}", "match.headers.a b: \"a b\" is not a header name"),
        ("headers: {a: {present: true, exact: x}}", "match.headers.a: present excludes the others"),
        ("query: {a: {}}", "match.query.a: it says nothing"),
        ("endpoint: \"127.0.0.1:1\"", "match.endpoint: no cluster has the endpoint 127.0.0.1:1"),
        ("endpoint: {}", "match.endpoint: it says nothing"),
        ("endpoint: {address: \"h:1\", labels: {a: b}}", "match.endpoint: address and labels exclude each other"),
        ("grpc: {}", "match.grpc: it says nothing"),
        ("grpc: {service: a/b}", "match.grpc.service: \"a/b\" is not a gRPC service"),
        ("upgrade: \"\"", "match.upgrade: \"\" is not a protocol"),
    ] {
        assert_eq!(rule_problems(&format!("fault: {{delay: 1s}}, match: {{{condition}}}")), [expected]);
    }
    for (condition, start) in [
        ("path: {regex: \"(\"}", "match.path.regex: it is not a regex: "),
        ("path: {glob: \"[\"}", "match.path.glob: it is not a glob: "),
        ("headers: {a: {regex: \"(\"}}", "match.headers.a.regex: it is not a regex: "),
    ] {
        let problems = rule_problems(&format!("fault: {{delay: 1s}}, match: {{{condition}}}"));
        assert!(problems.len() == 1 && problems[0].starts_with(start) && !problems[0].contains('\n'), "{problems:?}");
    }
}

#[test]
fn http_and_tcp_are_not_mixed() {
    for (fields, expected) in [
        ("fault: {abort: 503, slice: 64}", "fault: abort is only for HTTP and slice only for TCP"),
        (
            "fault: {slow_close: 1s}, match: {path: /x}",
            "fault.slow_close: slow_close is only for TCP, but the match looks at HTTP requests",
        ),
        (
            "fault: {delay: {fixed: 1s, on: connect}}, match: {listener: web}",
            "fault.delay: delay with on: connect is only for TCP, but listener \"web\" speaks HTTP",
        ),
        (
            "fault: {truncate: {after_bytes: 1, on: request}}, match: {listener: web}",
            "fault.truncate: truncate with on: request is only for TCP, but listener \"web\" speaks HTTP",
        ),
        (
            "fault: {reset: {after_data: 1s}}, match: {path: /x}",
            "fault.reset: reset with after_data is only for TCP, but the match looks at HTTP requests",
        ),
        (
            "fault: {blackhole: {direction: request, max: 1s}}, match: {listener: web}",
            "fault.blackhole: blackhole with direction is only for TCP, but listener \"web\" speaks HTTP",
        ),
        (
            "fault: {delay: {multiply: 2, max: 1s}}, match: {listener: raw}",
            "fault.delay: delay is only for HTTP, but listener \"raw\" speaks TCP",
        ),
        (
            "fault: {abort: 503}, match: {upgrade: websocket}",
            "fault.abort: abort cannot be applied to the bytes of a tunnel",
        ),
        (
            "fault: {reset: true}, match: {listener: raw, upgrade: websocket}",
            "match.upgrade: listener \"raw\" speaks TCP, where nothing is upgraded",
        ),
        (
            "fault: {abort: {grpc_status: 14}}, match: {method: GET}",
            "fault.abort: a gRPC status is for gRPC calls, which are POST, but the match asks for another method",
        ),
        (
            "fault: {refuse: true}, match: {listener: web}",
            "fault.refuse: refuse is only for TCP, but listener \"web\" speaks HTTP",
        ),
        (
            "fault: {abort: 503}, match: {listener: raw}",
            "fault.abort: abort is only for HTTP, but listener \"raw\" speaks TCP",
        ),
        (
            "fault: {delay: 1s}, match: {listener: raw, method: GET}",
            "match: the match looks at HTTP requests, but listener \"raw\" speaks TCP",
        ),
        (
            "fault: {delay: 1s}, match: {listener: raw}, sample: {mode: sticky, key: trace}",
            "sample: it looks at HTTP requests, but listener \"raw\" speaks TCP",
        ),
        (
            "fault: {refuse: true}, sample: {attempt: 1}",
            "sample: it looks at HTTP requests, but refuse is only for TCP",
        ),
    ] {
        assert_eq!(rule_problems(fields), [expected]);
    }
}

#[test]
fn what_no_listener_can_do_is_refused() {
    let config = |protocol: &str| {
        format!(
            "version: 1\nlisteners:\n- {{name: l, address: 127.0.0.1:0, protocol: {protocol}, cluster: b}}\n\
             clusters:\n- {{name: b, endpoints: [{{address: \"127.0.0.1:9\", labels: {{region: a}}}}]}}\n"
        )
    };
    let text =
        |protocol: &str, fields: &str| format!("{}rules:\n- {{name: r, percentage: 1, {fields}}}\n", config(protocol));
    for (protocol, fields, expected) in [
        (
            "tcp",
            "fault: {abort: 503}",
            "rules[0].fault.abort: rule \"r\": abort is only for HTTP, but the only listener that it can meet, \"l\", speaks TCP",
        ),
        (
            "tcp",
            "fault: {reset: {code: CANCEL}}, match: {cluster: b}",
            "rules[0].fault.reset.code: rule \"r\": an error code is for streams of HTTP/2, but the only listener that it can meet, \"l\", speaks TCP",
        ),
        (
            "tcp",
            "fault: {delay: 1s}, match: {path: /x}",
            "rules[0].match: rule \"r\": the match looks at HTTP requests, but the only listener that it can meet, \"l\", speaks TCP",
        ),
        (
            "tcp",
            "fault: {delay: 1s}, sample: {attempt: 1}",
            "rules[0].sample: rule \"r\": it looks at HTTP requests, but the only listener that it can meet, \"l\", speaks TCP",
        ),
        (
            "http",
            "fault: {refuse: true}, match: {endpoint: \"127.0.0.1:9\"}",
            "rules[0].fault.refuse: rule \"r\": refuse is only for TCP, but the only listener that it can meet, \"l\", speaks HTTP",
        ),
        (
            "http",
            "fault: {delay: 1s}, match: {endpoint: {labels: {region: aa}}}",
            "rules[0].match.endpoint.labels: rule \"r\": no endpoint has {region: aa}",
        ),
    ] {
        assert_eq!(problems(&text(protocol, fields)), [expected], "{protocol}: {fields}");
        let is_of_labels = fields.contains("region: aa");
        assert_eq!(crate::load_text(&text("auto", fields)).is_err(), is_of_labels, "{fields}");
    }
}
