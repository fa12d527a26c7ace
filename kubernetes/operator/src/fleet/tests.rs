use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use proptest::prelude::*;
use squall_config::model::{LabelCondition, Pods, Selector};
use squall_config::spec::{ExperimentDocument, RuleSpec};
use squall_orders::RuleReport;

use super::*;

const LEASE: Duration = Duration::from_secs(15);

fn percent(percent: u32) -> Percentage {
    Percentage::from_ppm(percent * 10_000).unwrap()
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + seconds).unwrap()
}

fn fleet(pods_hit_max: u32) -> Fleet {
    Fleet::new(Settings { lease: LEASE, pods_hit_max: percent(pods_hit_max) })
}

fn pod(namespace: &str, n: usize) -> Pod {
    Pod { uid: format!("pod-{namespace}-{n}"), namespace: namespace.to_owned(), name: format!("p{n}") }
}

fn labels(tier: &str) -> Report {
    Report { labels: BTreeMap::from([("tier".to_owned(), tier.to_owned())]), ..Report::default() }
}

/// A rule made at this second, for the pods of a tier (or all), for this share of them.
fn rule(n: i64, namespace: &str, tier: Option<&str>, share: u32) -> OrderedRule {
    let selector = tier.map(|tier| LabelCondition::In("tier".to_owned(), vec![tier.to_owned()]));
    OrderedRule {
        rank: Rank { created: Some(at(n)), uid: format!("rule-{n}") },
        namespace: namespace.to_owned(),
        pods: Pods { selector: Selector(selector.into_iter().collect()), percentage: percent(share) },
        rule: Arc::new(RuleSpec { name: format!("r{n}"), ..RuleSpec::default() }),
        expires_at: at(1000),
    }
}

fn experiment(n: i64, participants: Option<Vec<String>>) -> OrderedExperiment {
    OrderedExperiment {
        rank: Rank { created: Some(at(n)), uid: format!("experiment-{n}") },
        namespace: "shop".to_owned(),
        pods: Pods::default(),
        document: Arc::new(ExperimentDocument::default()),
        run: format!("run-{n}"),
        participants,
    }
}

fn names(orders: &squall_orders::Orders) -> Vec<&str> {
    orders.rules.iter().map(|rule| rule.name.as_str()).collect()
}

#[test]
fn rules_go_to_the_pods_of_their_namespace_and_selector_until_they_expire() {
    let mut fleet = fleet(100);
    let now = Instant::now();
    fleet.report(pod("shop", 1), labels("web"), now);
    fleet.report(pod("shop", 2), labels("db"), now);
    fleet.report(pod("pay", 1), labels("web"), now);
    fleet.order_rule(rule(2, "shop", None, 100));
    fleet.order_rule(rule(1, "shop", Some("web"), 100));
    let plan = fleet.plan(at(10));
    assert_eq!(names(&plan.orders["pod-shop-1"]), ["r1", "r2"], "the older one first");
    assert_eq!(names(&plan.orders["pod-shop-2"]), ["r2"]);
    assert_eq!(names(&plan.orders["pod-pay-1"]), Vec::<&str>::new());
    assert_eq!((plan.until, plan.orders["pod-pay-1"].lease_ms), (Some(at(1000)), 15_000));
    assert_eq!(
        plan.shares["rule-1"],
        Share { matched: 1, wanted: 1, hit: vec!["pod-shop-1".to_owned()], halted: None }
    );
    assert_ne!(plan.orders["pod-shop-1"].revision, plan.orders["pod-shop-2"].revision);
    let after = fleet.plan(at(1000));
    assert!(after.orders.values().all(|orders| orders.rules.is_empty()) && after.until.is_none());
    assert!(fleet.end("rule-1") && !fleet.end("rule-1"));
}

#[test]
fn the_bound_of_the_fleet_serves_the_oldest_first_and_one_at_least() {
    let mut fleet = fleet(50);
    for n in 0..5 {
        fleet.report(pod("shop", n), labels("web"), Instant::now());
    }
    fleet.order_rule(rule(2, "shop", None, 100));
    fleet.order_rule(rule(1, "shop", None, 20));
    let plan = fleet.plan(at(10));
    assert_eq!((plan.pods_hit_max, plan.pods_hit.len()), (2, 2));
    assert_eq!(plan.shares["rule-1"].hit.len(), 1);
    let share = &plan.shares["rule-2"];
    assert_eq!((share.matched, share.wanted, share.hit.len()), (5, 5, 2));
    assert!(share.hit.contains(&plan.shares["rule-1"].hit[0]), "a pod that is hit anyway counts once");
    let one = super::share::count(1, percent(1));
    assert_eq!((one, super::share::count(0, percent(100)), super::share::count(9, percent(0))), (1, 0, 0));
}

#[test]
fn experiments_reserve_pods_while_they_wait_and_run_in_their_participants() {
    let mut fleet = fleet(50);
    for n in 0..4 {
        fleet.report(pod("shop", n), labels("web"), Instant::now());
    }
    fleet.order_experiment(experiment(1, None));
    fleet.order_rule(rule(2, "shop", None, 100));
    let plan = fleet.plan(at(10));
    let reserved = plan.shares["experiment-1"].hit.clone();
    assert_eq!(reserved.len(), 2);
    assert!(plan.orders.values().all(|orders| orders.experiments.is_empty()), "it waits");
    assert_eq!(BTreeSet::from_iter(&plan.shares["rule-2"].hit), BTreeSet::from_iter(&reserved));
    fleet.order_experiment(experiment(1, Some(vec![reserved[0].clone(), "pod-gone".to_owned()])));
    let plan = fleet.plan(at(10));
    assert_eq!(plan.orders[&reserved[0]].experiments[0].run, "run-1");
    assert_eq!(plan.orders.values().filter(|orders| !orders.experiments.is_empty()).count(), 1);
}

#[test]
fn a_halt_covers_its_namespaces_and_tells_why() {
    let mut fleet = fleet(100);
    fleet.report(pod("shop", 1), labels("web"), Instant::now());
    fleet.report(pod("pay", 1), labels("web"), Instant::now());
    fleet.order_rule(rule(1, "shop", None, 100));
    fleet.order_rule(rule(2, "pay", None, 100));
    let halt = |uid: &str, reason: &str, namespaces: &[&str]| Halt {
        rank: Rank { created: Some(at(5)), uid: uid.to_owned() },
        name: uid.to_owned(),
        reason: reason.to_owned(),
        namespaces: namespaces.iter().map(|name| (*name).to_owned()).collect(),
    };
    assert!(fleet.halt(halt("h1", "deploy", &["shop"])));
    let plan = fleet.plan(at(10));
    assert_eq!(plan.orders["pod-shop-1"].halt.as_deref(), Some("ClusterHalt h1: deploy"));
    assert_eq!((names(&plan.orders["pod-shop-1"]), names(&plan.orders["pod-pay-1"])), (vec![], vec!["r2"]));
    assert_eq!(plan.shares["rule-1"].halted.as_deref(), Some("ClusterHalt h1: deploy"));
    fleet.halt(halt("h0", "", &[]));
    let plan = fleet.plan(at(10));
    assert_eq!(plan.orders["pod-shop-1"].halt.as_deref(), Some("ClusterHalt h0"), "the first of them");
    assert!(plan.orders.values().all(|orders| orders.rules.is_empty() && orders.halt.is_some()));
    let halted = Report {
        halted: Some("x".to_owned()),
        following: Some(plan.orders["pod-pay-1"].revision.clone()),
        ..labels("web")
    };
    assert!(!fleet.report(pod("pay", 1), halted, Instant::now()), "nothing of the plan changes");
    assert_eq!((fleet.halt_state("h0", &plan), fleet.halt_state("h1", &plan)), ((2, 1), (1, 0)));
    assert!(fleet.end("h0") && fleet.end("h1"));
    assert!(fleet.plan(at(10)).orders.values().all(|orders| orders.halt.is_none() && orders.rules.len() == 1));
}

#[test]
fn silent_sidecars_are_forgotten_when_their_orders_have_ended() {
    let mut fleet = fleet(100);
    let start = Instant::now();
    assert!(fleet.report(pod("shop", 1), labels("web"), start));
    assert!(!fleet.report(pod("shop", 1), labels("web"), start));
    assert!(fleet.report(pod("shop", 1), labels("db"), start), "labels decide who gets what");
    assert!(!fleet.forget_silent(start + LEASE + Duration::from_secs(5)));
    assert!(fleet.forget_silent(start + LEASE + Duration::from_secs(6)));
    assert_eq!(fleet.n_sidecars(), 0);
}

#[test]
fn the_state_of_a_rule_is_what_sidecars_say_of_it() {
    let mut fleet = fleet(100);
    let now = Instant::now();
    fleet.know_rule("rule-1", "shop", "r1", Counts { matched: 100, injected: 10 });
    fleet.order_rule(rule(1, "shop", None, 100));
    for n in 0..3 {
        fleet.report(pod("shop", n), labels("web"), now);
    }
    let plan = fleet.plan(at(10));
    let revision = Some(plan.orders["pod-shop-0"].revision.clone());
    let said = |matched, injected, problem: Option<&str>| RuleReport {
        name: "r1".to_owned(),
        matched,
        injected,
        problem: problem.map(str::to_owned),
    };
    let report = |rule: RuleReport| Report { following: revision.clone(), rules: vec![rule], ..labels("web") };
    fleet.report(pod("shop", 0), report(said(90, 9, None)), now);
    fleet.report(pod("shop", 1), report(said(20, 2, Some("there is no cluster \"b\""))), now);
    fleet.report(pod("shop", 2), Report { following: None, ..report(said(5, 1, None)) }, now);
    let state = fleet.rule_state("rule-1", &plan);
    assert_eq!((state.in_force, state.still, state.total), (1, 2, Counts { matched: 115, injected: 12 }));
    assert_eq!(state.problems, ["pod p1: there is no cluster \"b\""]);
    fleet.delete("rule-1");
    assert_eq!(fleet.rule_state("rule-1", &fleet.plan(at(10))).total, Counts::default());
}

/// (pods with their tier, rules: second, share, only the web tier)
type World = (Vec<bool>, Vec<(u32, bool)>);

fn world() -> impl Strategy<Value = World> {
    let rules = prop::collection::vec((0u32..=100, any::<bool>()), 0..6);
    (prop::collection::vec(any::<bool>(), 0..40), rules)
}

fn filled((pods, rules): &World, cap: u32) -> Fleet {
    let mut fleet = fleet(cap);
    for (n, is_web) in pods.iter().enumerate() {
        fleet.report(pod("shop", n), labels(if *is_web { "web" } else { "db" }), Instant::now());
    }
    for (n, (share, is_web)) in (0..).zip(rules) {
        fleet.order_rule(rule(n, "shop", is_web.then_some("web"), *share));
    }
    fleet
}

fn hit(plan: &Plan, n: usize) -> BTreeSet<&String> {
    plan.shares[&format!("rule-{n}")].hit.iter().collect()
}

proptest! {
    #[test]
    fn never_more_than_the_bound(world in world(), cap in 1u32..=100) {
        let plan = filled(&world, cap).plan(at(10));
        let (n, cap) = (world.0.len(), cap as usize);
        prop_assert_eq!(plan.pods_hit_max, if n == 0 { 0 } else { (n * cap / 100).max(1) });
        let ordered = plan.orders.iter().filter(|(_, orders)| !orders.rules.is_empty());
        let ordered: BTreeSet<&String> = ordered.map(|(uid, _)| uid).collect();
        prop_assert_eq!(&ordered, &plan.pods_hit.iter().collect());
        prop_assert!(ordered.len() <= plan.pods_hit_max);
    }

    #[test]
    fn a_larger_share_is_the_smaller_one_and_more(world in world(), cap in 1u32..=100, more in 0u32..=100) {
        let Some((share, _)) = world.1.last().copied() else { return Ok(()) };
        let last = world.1.len() - 1;
        let mut larger = world.clone();
        larger.1[last].0 = share.max(more);
        let (small, large) = (filled(&world, cap).plan(at(10)), filled(&larger, cap).plan(at(10)));
        prop_assert!(hit(&small, last).is_subset(&hit(&large, last)));
    }

    #[test]
    fn one_pod_that_comes_moves_one_other_at_most(pods in 1usize..40, share in 1u32..=100) {
        let all = filled(&(vec![true; pods + 1], vec![(share, false)]), 100).plan(at(10));
        for gone in 0..=pods {
            let mut fleet = filled(&(vec![true; pods + 1], vec![(share, false)]), 100);
            fleet.sidecars.remove(&pod("shop", gone).uid);
            let fewer = fleet.plan(at(10));
            let (before, after) = (hit(&fewer, 0), hit(&all, 0));
            let moved = before.symmetric_difference(&after).filter(|uid| ***uid != pod("shop", gone).uid).count();
            prop_assert!(moved <= 1, "{:?} and {:?}", before, after);
        }
    }

    #[test]
    fn equal_fleets_have_equal_plans(world in world(), cap in 1u32..=100) {
        let mut other = fleet(cap);
        for (n, (share, is_web)) in (0i64..).zip(&world.1).collect::<Vec<_>>().into_iter().rev() {
            other.order_rule(rule(n, "shop", is_web.then_some("web"), *share));
        }
        other.report(pod("shop", 99), labels("web"), Instant::now());
        for (n, is_web) in world.0.iter().enumerate().rev() {
            other.report(pod("shop", n), labels(if *is_web { "web" } else { "db" }), Instant::now());
        }
        other.sidecars.remove("pod-shop-99");
        prop_assert_eq!(filled(&world, cap).plan(at(10)), other.plan(at(10)));
    }

    #[test]
    fn a_halted_fleet_gets_no_rules(world in world(), cap in 1u32..=100) {
        let mut fleet = filled(&world, cap);
        fleet.order_experiment(experiment(1, Some(vec!["pod-shop-0".to_owned()])));
        let rank = Rank { created: None, uid: "h".to_owned() };
        fleet.halt(Halt { rank, name: "h".to_owned(), reason: String::new(), namespaces: Vec::new() });
        let plan = fleet.plan(at(10));
        prop_assert!(plan.pods_hit.is_empty());
        for orders in plan.orders.values() {
            prop_assert!(orders.rules.is_empty() && orders.experiments.is_empty() && orders.halt.is_some());
        }
    }
}
