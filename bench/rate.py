"""How fast a sink is, by looks at how many events its store holds."""

WARM_UP = 0.25  # of the events are in the store when the clock starts


def steady_rate(looks, events):
    """Events a second. looks: [(seconds, events so far)]. For every sink alike what comes before the first quarter is left out: joining
    the group, the first fetches, small first batches, compilers. Few events may lie in one commit; then their whole time counts."""
    ended = next(look for look in looks if look[1] >= events)
    began = next(look for look in looks if look[1] >= WARM_UP * events)
    if began[1] == ended[1]:
        began = looks[0]
    return (ended[1] - began[1]) / (ended[0] - began[0])
