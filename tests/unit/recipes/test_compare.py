"""repeat_runs: every way with every seed, in pairs, in one table."""

from coursekit.recipes import repeat_runs


def test_every_way_runs_with_every_seed_in_turns():
    calls = []

    def way(factor):
        def run(seed):
            calls.append((factor, seed))
            return {"accuracy": factor * seed}

        return run

    runs = repeat_runs({"b": way(2), "a": way(1)}, (5, 3), name="strategy")
    assert calls == [(2, 5), (1, 5), (2, 3), (1, 3)]
    assert runs.columns.tolist() == ["strategy", "seed", "accuracy", "seconds"]
    table = runs.pivot(index="seed", columns="strategy", values="accuracy")
    assert (table["b"] - table["a"]).to_dict() == {3: 3, 5: 5}
