"""An independent, deliberately slow oracle for MPLP: numpy float64, one scalar at a time, plain Python loops.

Every function of one unit (`synapse`, `bias`, `activation_unit`, `softmax_unit`, `loss_unit`) sees scalars and 1-d vectors
only; `inner_step` loops over samples, inputs and outputs. Where the paper is silent or its code differs, the code's behaviour is
followed ("fact n" is the numbered list in shared/reference/README.md).

Data structures (plain dicts and lists)
  net       dict(layers, loss, stateful, ms, hn, interior, nodes)
    layers    [(in, out, activation), ...], activation in relu | sigmoid | tanh | step | softmax | none
    loss      'l2' | 'l1' | 'ce'
    ms, hn    message size; hidden size of the carry (ignored when stateless). Carry = [raw update, if a parameter] + hn + ms
    interior  'tanh' (published code) | 'relu' (paper): hidden layers of the GRU's MLP_x and MLP_c. Stateless f, g: always relu
    nodes     {'W1': node, 'b1': node, 'act1': node, 'W2': ..., 'loss': node}; no 'act' node where the activation is 'none'
  node      dict(norm, mean_zeroer, learner | f and g, out_scale, out_mean)
    norm, mean_zeroer   one float per tensor read, in order: message, then
                        W: w, x | b: b, x (x = the sum over inputs of x_i w_ij) | act: input | softmax: input, shifted, exp, sum
                        l2: p, t, t - p | l1: p, t | ce: clipped p, t, log p
    learner   (stateful) GRU: dict(W_ux, W_uc, b_u, W_rx, W_rc, b_r, b_n, x_net=MLP, c_net=MLP)
    f, g      (stateless) MLPs: f gives the raw update (W and b nodes only), g the message
    out_scale, out_mean   floats, W and b nodes only
  MLP       [(matrix (in, out), bias or None), ...]
  params    [W1, b1, W2, b2, ...], W (in, out), b (out,)
  carry     {'W1': {(sample, i, j): vector}, 'b1': {(sample, j): vector}, 'act1': {(sample, j): ..}, 'loss': {(sample, k): ..}}
Sharing is aliasing: nodes that share a learner hold the same learner object, nodes that share everything ARE the same dict.
"""
import copy
import json

import numpy as np

INTERIOR = (80, 40)
READS = {'W': 3, 'b': 3, 'act': 2, 'softmax': 5, 'l2': 4, 'l1': 3, 'ce': 4}  # tensors read, message included (fact 4)
CLIP = 1e-7


def sigmoid(x):
    """Logistic function, without overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * np.asarray(x, dtype=np.float64)))


def relu(x):
    """max(x, 0)."""
    return np.maximum(x, 0.0)


def mlp(layers, x, hidden, out):
    """A small MLP on one vector: `hidden` after every layer but the last, `out` after the last."""
    for n, (w, b) in enumerate(layers):
        x = x @ w + (0.0 if b is None else b)
        x = out(x) if n == len(layers) - 1 else hidden(x)
    return x


def gru(params, x, carry, interior='tanh'):
    """Eq. 8 and its gates for one unit: u, r sigmoid; c' = u c + (1 - u) tanh(MLP_x(x) + MLP_c(r c) + b_n) (fact 1)."""
    hidden = {'tanh': np.tanh, 'relu': relu}[interior]
    u = sigmoid(x @ params['W_ux'] + carry @ params['W_uc'] + params['b_u'])
    r = sigmoid(x @ params['W_rx'] + carry @ params['W_rc'] + params['b_r'])
    from_x = mlp(params['x_net'], x, hidden, lambda v: v)
    from_c = mlp(params['c_net'], r * carry, hidden, lambda v: v)
    return u * carry + (1.0 - u) * np.tanh(from_x + from_c + params['b_n'])


def standardize(node, parts):
    """Fact 8: (x + mean_zeroer) * norm, one scalar pair per tensor read, then everything concatenated in order."""
    return np.concatenate([(np.atleast_1d(p) + z) * n for p, z, n in zip(parts, node['mean_zeroer'], node['norm'], strict=True)])


def learn(net, node, carry, parts, has_param):
    """One learner once: (raw parameter update or None, outgoing message, new carry) (facts 2 and 3).

    Stateful: both are read off the new carry (channel 0; the last `ms` channels). Stateless: f and g, relu inside, tanh out.
    """
    x = standardize(node, parts)
    if net['stateful']:
        carry = gru(node['learner'], x, carry, net['interior'])
        return (carry[0] if has_param else None), carry[-net['ms']:], carry
    raw = mlp(node['f'], x, relu, np.tanh)[0] if has_param else None
    return raw, mlp(node['g'], x, relu, np.tanh), None


def synapse(net, node, carry, message, w, x):
    """Weight w_ij for one sample: reads the message of output j, w_ij and the forward input x_i."""
    return learn(net, node, carry, [message, w, x], True)


def bias(net, node, carry, message, b, x):
    """Bias b_j for one sample: reads the message of unit j, b_j and its forward input, the weighted sum b_j is added to."""
    return learn(net, node, carry, [message, b, x], True)


def activation_unit(net, node, carry, message, a):
    """Activation of unit j for one sample: reads the message and its input."""
    return learn(net, node, carry, [message, a], False)


def softmax_unit(net, node, carry, message, a, shifted, exp, total):
    """Class k of a softmax for one sample: the message, its input, that minus the max, its exp, the sum of exps (fact 4)."""
    return learn(net, node, carry, [message, a, shifted, exp, total], False)


def loss_unit(net, node, carry, value, *reads):
    """Loss at output k for one sample: the incoming message is the loss value itself, one channel; then `loss_reads`."""
    return learn(net, node, carry, [value, *reads], False)


def softmax_reads(a):
    """Per class k: (input, input - max, its exp, sum of the exps)."""
    exps = [np.exp(v - max(a)) for v in a]
    return [(v, v - max(a), e, sum(exps)) for v, e in zip(a, exps, strict=True)]


def loss_reads(loss, p, t):
    """What a loss unit reads besides its own value (fact 4); ce clips p to [1e-7, 1 - 1e-7]."""
    if loss == 'ce':
        p = min(max(p, CLIP), 1.0 - CLIP)
        return p, t, np.log(p)
    return {'l2': (p, t, t - p), 'l1': (p, t)}[loss]


def loss_value(loss, p, t):
    """Fact 5, one output unit: l2 (t - p)^2 / 2, l1 |t - p|, ce -(t log clipped p)."""
    if loss == 'ce':
        return -t * loss_reads('ce', p, t)[2]
    return (t - p) ** 2 / 2.0 if loss == 'l2' else abs(t - p)


def update(value, raws, node):
    """Fact 7: parameter += (mean over the batch of the raw updates - out_mean) * out_scale."""
    return value + (sum(raws) / len(raws) - node['out_mean']) * node['out_scale']


def activate(name, a):
    """An activation on the list of one sample's pre-activations. 'step' is 1 where a > 0, else 0."""
    if name == 'softmax':
        return [e / s for _, _, e, s in softmax_reads(a)]
    one = {'relu': lambda v: max(v, 0.0), 'sigmoid': lambda v: float(sigmoid(v)), 'tanh': np.tanh,
           'step': lambda v: 1.0 if v > 0 else 0.0, 'none': lambda v: v}[name]
    return [one(v) for v in a]


def forward(net, params, x):
    """One sample: per layer (input h, weighted sum z, pre-activation z + b, output)."""
    trace, h = [], [float(v) for v in x]
    for k, (n_in, n_out, act) in enumerate(net['layers']):
        w, b = params[2 * k], params[2 * k + 1]
        z = [sum(h[i] * w[i, j] for i in range(n_in)) for j in range(n_out)]
        a = [z[j] + b[j] for j in range(n_out)]
        out = activate(act, a)
        trace.append((h, z, a, out))
        h = out
    return trace


def predict(net, params, xs):
    """Predictions [batch, out]."""
    params = [np.array(p, dtype=np.float64) for p in params]
    return np.array([forward(net, params, x)[-1][3] for x in xs])


def batch_loss(net, params, xs, ys):
    """The plain mean over batch and output units (fact 5)."""
    preds = predict(net, params, xs)
    return float(np.mean([loss_value(net['loss'], float(p), float(t)) for ps, ts in zip(preds, ys, strict=True)
                          for p, t in zip(ps, ts, strict=True)]))


def zero_carry(net, batch):
    """Fact 2: one carry per sample, node and unit, starting at zero (None for stateless learners)."""
    def zeros(has_param):
        return np.zeros(has_param + net['hn'] + net['ms']) if net['stateful'] else None
    carry = {}
    for k, (n_in, n_out, act) in enumerate(net['layers'], 1):
        carry[f'W{k}'] = {(s, i, j): zeros(1) for s in range(batch) for i in range(n_in) for j in range(n_out)}
        carry[f'b{k}'] = {(s, j): zeros(1) for s in range(batch) for j in range(n_out)}
        if act != 'none':
            carry[f'act{k}'] = {(s, j): zeros(0) for s in range(batch) for j in range(n_out)}
    carry['loss'] = {(s, j): zeros(0) for s in range(batch) for j in range(net['layers'][-1][1])}
    return carry


def tensor_stats(values):
    """Fact 8, one tensor given as all its entries: (norm, mean_zeroer) = (1 / population std, or 1 if std < 1e-5; -mean)."""
    values = np.concatenate([np.ravel(v) for v in values]).astype(np.float64)
    std = values.std()
    return (1.0 if std < 1e-5 else 1.0 / std), -values.mean()


def run_node(net, name, unit, reads, carry, stats):
    """Run `unit` over every key of `reads` {key: tuple of what that unit reads}: (node, raws, messages, carries), each by key.

    When `stats` is a dict (calibration) the node is standardized by this very batch, out_mean included, and the statistics are
    recorded in stats[name]. (Repeating a tensor over units that read the same entry changes neither its mean nor its std.)
    """
    node = net['nodes'][name]
    if stats is not None:
        pairs = [tensor_stats([read[n] for read in reads.values()]) for n in range(len(node['norm']))]
        stats[name] = dict(norm=[n for n, _ in pairs], mean_zeroer=[z for _, z in pairs])
        node = dict(node, **stats[name])
    done = {key: unit(net, node, carry[key], *read) for key, read in reads.items()}
    raws, messages, carries = ({key: d[n] for key, d in done.items()} for n in range(3))
    if stats is not None and 'out_mean' in node:
        node['out_mean'] = stats[name]['out_mean'] = sum(raws.values()) / len(raws)
    return node, raws, messages, carries


def inner_step(net, params, carry, xs, ys, stats=None):
    """One inner step on a batch: forward, then loss -> (activation -> biases -> weights) per layer, last to first (fact 6).

    Returns (new params, new carry). Every learner sees the old parameters. A weight node's message to input i is the mean
    of its messages over outputs. `stats`: see `run_node`.
    """
    batch, layers, loss = range(len(xs)), net['layers'], net['loss']
    params = [np.array(p, dtype=np.float64) for p in params]
    traces = [forward(net, params, x) for x in xs]
    new_params, new_carry = [p.copy() for p in params], {}
    ends = {(s, j): (traces[s][-1][3][j], float(ys[s][j])) for s in batch for j in range(layers[-1][1])}
    reads = {key: (loss_value(loss, p, t), *loss_reads(loss, p, t)) for key, (p, t) in ends.items()}
    _, _, message, new_carry['loss'] = run_node(net, 'loss', loss_unit, reads, carry['loss'], stats)
    for k in reversed(range(len(layers))):
        n_in, n_out, act = layers[k]
        w, b = params[2 * k], params[2 * k + 1]
        if act != 'none':
            unit = softmax_unit if act == 'softmax' else activation_unit
            seen = [softmax_reads(a) if act == 'softmax' else [(v,) for v in a] for a in (traces[s][k][2] for s in batch)]
            reads, name = {(s, j): (message[s, j], *seen[s][j]) for s in batch for j in range(n_out)}, f'act{k + 1}'
            _, _, message, new_carry[name] = run_node(net, name, unit, reads, carry[name], stats)
        name = f'b{k + 1}'
        reads = {(s, j): (message[s, j], b[j], traces[s][k][1][j]) for s in batch for j in range(n_out)}
        node, raws, message, new_carry[name] = run_node(net, name, bias, reads, carry[name], stats)
        for j in range(n_out):
            new_params[2 * k + 1][j] = update(b[j], [raws[s, j] for s in batch], node)
        name = f'W{k + 1}'
        reads = {(s, i, j): (message[s, j], w[i, j], traces[s][k][0][i]) for s in batch for i in range(n_in) for j in range(n_out)}
        node, raws, sent, new_carry[name] = run_node(net, name, synapse, reads, carry[name], stats)
        for i in range(n_in):
            for j in range(n_out):
                new_params[2 * k][i, j] = update(w[i, j], [raws[s, i, j] for s in batch], node)
        message = {(s, i): sum(sent[s, i, j] for j in range(n_out)) / n_out for s in batch for i in range(n_in)}
    return new_params, new_carry


def inner_loop(net, params, xs, ys):
    """All steps of xs, ys [steps, batch, dim]: ([params after 0, 1, ... steps], [hint after each step]) (fact 10)."""
    history, hints, carry = [params], [], zero_carry(net, len(xs[0]))
    for x, y in zip(xs, ys, strict=True):
        params, carry = inner_step(net, params, carry, x, y)
        history.append(params)
        hints.append(batch_loss(net, params, x, y))
    return history, hints


def meta_loss(net, params, xs, ys, xe, ye, hint_weight=0.7):
    """Fact 10: 0.7 * mean of the hints + 0.3 * loss on the held-out batch after the last step (hint_weight=0: held-out alone)."""
    history, hints = inner_loop(net, params, xs, ys)
    return hint_weight * float(np.mean(hints)) + (1.0 - hint_weight) * batch_loss(net, history[-1], xe, ye)


def calibrate(net, runs, p=1.0):
    """Fact 9: a copy of `net` calibrated on `runs` = [(params, xs, ys), ...], each starting at zero carry.

    Per run and node each statistic (norm, mean_zeroer, out_mean) is averaged over the steps, then written node after node in
    layer order with new = (1 - p) * old + p * stat. A node dict held under several names is thus written several times.
    """
    net = copy.deepcopy(net)
    for params, xs, ys in runs:
        steps, carry = [], zero_carry(net, len(xs[0]))
        for x, y in zip(xs, ys, strict=True):
            steps.append({})
            params, carry = inner_step(net, params, carry, x, y, steps[-1])
        for name in node_names(net['layers']):
            node = net['nodes'][name]
            for field in steps[0][name]:
                stat = np.mean([step[name][field] for step in steps], axis=0)
                new = (1.0 - p) * np.asarray(node[field]) + p * stat
                node[field] = [float(v) for v in new] if new.ndim else float(new)
    return net


def node_names(layers):
    """Layer order: W1 b1 [act1] W2 b2 [act2] ... loss."""
    return [n for k, (_, _, act) in enumerate(layers, 1) for n in (f'W{k}', f'b{k}', f'act{k}')
            if act != 'none' or not n.startswith('act')] + ['loss']


def parse_arch(arch):
    """[1, 6, 'relu', 5, 'relu', 1] -> [(1, 6, 'relu'), (6, 5, 'relu'), (5, 1, 'none')]."""
    layers, last = [], arch[0]
    for item in arch[1:]:
        if isinstance(item, str):
            layers[-1] = (*layers[-1][:2], item)
        else:
            layers.append((last, item, 'none'))
            last = item
    return layers


def from_flat(flat, config, interior='tanh'):
    """The authors' flat vector as a `net` (README, "Layout of the flat vectors").

    `config` is a dict or its JSON: arch, loss, ms, hn, stateful, shared ('none' | 'nets' | 'all'). The README does not give the
    layout of SHARED stateless learners; here: weight f g, then bias f g, where the stateful layout has the two GRUs.
    """
    config = json.loads(str(config)) if not isinstance(config, dict) else config
    layers, ms, hn, stateful, shared = parse_arch(config['arch']), *(config[k] for k in ('ms', 'hn', 'stateful', 'shared'))
    assert shared in ('none', 'nets', 'all')
    rest, nodes = iter(np.asarray(flat, dtype=np.float64)), {}
    def take(*shape):  # the next array, row-major
        return np.array([next(rest) for _ in range(int(np.prod(shape)))]).reshape(shape)
    def read_mlp(n_in, n_out, last_bias):
        shapes = [(n_in, INTERIOR[0]), INTERIOR, (INTERIOR[1], n_out)]
        return [(take(a, b), take(b) if last_bias or k < 2 else None) for k, (a, b) in enumerate(shapes)]
    def read_gru(x, c):
        shapes = dict(W_ux=(x, c), W_uc=(c, c), b_u=(c,), W_rx=(x, c), W_rc=(c, c), b_r=(c,), b_n=(c,))
        out = {name: take(*shape) for name, shape in shapes.items()}
        return dict(out, x_net=read_mlp(x, c, False), c_net=read_mlp(c, c, False))
    def standardizer(reads):
        return dict(norm=take(reads).tolist(), mean_zeroer=take(reads).tolist())
    def output():
        return dict(out_scale=next(rest), out_mean=next(rest))
    def learner(x, has_param):
        if stateful:
            return dict(learner=read_gru(x, has_param + hn + ms))
        return dict(dict(f=read_mlp(x, 1, True)) if has_param else {}, g=read_mlp(x, ms, True))

    for name in node_names(layers):
        if name[0] in 'Wb':
            node = nodes[name] = {} if shared == 'all' else standardizer(READS[name[0]])
            if shared == 'none' and stateful:
                node.update(**learner(ms + 2, 1), **output())
            elif shared == 'none':
                node.update(f=read_mlp(ms + 2, 1, True), **output(), g=read_mlp(ms + 2, ms, True))
            elif shared == 'nets':
                node.update(output())
        else:
            kind = config['loss'] if name == 'loss' else 'softmax' if layers[int(name[3:]) - 1][2] == 'softmax' else 'act'
            nodes[name] = standardizer(READS[kind])
            nodes[name].update(learner(READS[kind] - 1 + (1 if name == 'loss' else ms), 0))
    if shared != 'none':
        common = {kind: learner(ms + 2, 1) for kind in 'Wb'}
        for block in (output, lambda: standardizer(3)) if shared == 'all' else ():
            for kind in 'Wb':
                common[kind].update(block())
        for name in [n for n in nodes if n[0] in 'Wb']:
            nodes[name] = common[name[0]] if shared == 'all' else dict(nodes[name], **common[name[0]])
    assert not list(rest), 'flat vector too long'
    return dict(layers=layers, loss=config['loss'], stateful=stateful, ms=ms, hn=hn, interior=interior, nodes=nodes)
