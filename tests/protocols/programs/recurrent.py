"""A character-level model of text: an LSTM and a gated unit, layer normalisation, attention over
what was read, and the cross-entropy of the next character. Parameters are a dictionary of arrays.
"""

import numpy as np

TEXT = "the cat sat on the mat; the rat sat on the cat"


def encode(text):
    """The characters as numbers, and how many different ones there are."""
    alphabet = sorted(set(text))
    return np.array([alphabet.index(c) for c in text]), len(alphabet)


def one_hot(numbers, count):
    table = np.zeros((len(numbers), count))
    table[np.arange(len(numbers)), numbers] = 1.0
    return table


def initialise(vocabulary, hidden, seed=0):
    """Weights of both layers, the attention and the read-out."""
    rng = np.random.default_rng(seed)

    def glorot(*shape):
        return rng.normal(size=shape) * np.sqrt(2.0 / sum(shape))

    return {
        "embedding": glorot(vocabulary, hidden),
        "lstm": glorot(2 * hidden + 1, 4 * hidden),
        "gru gates": glorot(2 * hidden + 1, 2 * hidden),
        "gru state": glorot(2 * hidden + 1, hidden),
        "scale": np.ones(hidden),
        "shift": np.zeros(hidden),
        "query": glorot(hidden, hidden),
        "key": glorot(hidden, hidden),
        "out": glorot(2 * hidden + 1, vocabulary),
    }


def sigmoid(x):
    """Without overflow on either side."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + small), small / (1 + small))


def softplus(x):
    return np.logaddexp(x, 0.0)


def softmax(x, axis=-1):
    shifted = x - np.max(x, axis=axis, keepdims=True)
    weights = np.exp(shifted)
    return weights / weights.sum(axis=axis, keepdims=True)


def log_softmax(x):
    top = np.amax(x, axis=-1, keepdims=True)
    return x - top - np.log(np.sum(np.exp(x - top), axis=-1, keepdims=True))


def affine(weights, *parts):
    """The parts side by side, with a column of ones, times the weights."""
    ones = np.ones((parts[0].shape[0], 1))
    return np.dot(np.hstack([*parts, ones]), weights)


def layer_norm(x, scale, shift):
    centred = x - np.mean(x, axis=-1, keepdims=True)
    return scale * centred / np.sqrt(np.var(x, axis=-1, keepdims=True) + 1e-5) + shift


def lstm_step(weights, x, hidden, cell):
    gates = np.split(affine(weights, x, hidden), 4, axis=1)
    remember, write, read = (sigmoid(gate) for gate in gates[:3])
    cell = remember * cell + write * np.tanh(gates[3])
    return read * np.tanh(cell), cell


def gru_step(gate_weights, state_weights, x, hidden):
    update, reset = np.hsplit(sigmoid(affine(gate_weights, x, hidden)), 2)
    candidate = np.tanh(affine(state_weights, x, reset * hidden))
    return (1 - update) * hidden + update * candidate


def attend(query, keys, values):
    """What was read so far, weighted by how well it fits: (batch, d), (time, batch, d) twice."""
    scores = np.einsum("bd,tbd->tb", query, keys) / np.sqrt(query.shape[-1])
    weights = softmax(scores, axis=0)
    return np.sum(weights[..., np.newaxis] * values, axis=0)


def logits(parameters, numbers):
    """Scores of the next character at each time: (time, batch) numbers to (time, batch, count)."""
    batch, width = numbers.shape[1], parameters["embedding"].shape[1]
    hidden = cell = state = np.zeros((batch, width))
    history, outputs = [], []
    for step in numbers:
        x = np.take(parameters["embedding"], step, axis=0)
        hidden, cell = lstm_step(parameters["lstm"], x, hidden, cell)
        normed = layer_norm(hidden, parameters["scale"], parameters["shift"])
        state = gru_step(parameters["gru gates"], parameters["gru state"], normed, state)
        history.append(state)
        past = np.stack(history)
        context = attend(state @ parameters["query"], past @ parameters["key"], past)
        outputs.append(affine(parameters["out"], state, context))
    return np.stack(outputs, axis=0)


def loss(parameters, numbers, decay=1e-3):
    """The mean cross-entropy of each next character, and a penalty of large weights."""
    count = parameters["embedding"].shape[0]
    scores = log_softmax(logits(parameters, numbers[:-1]))
    targets = np.stack([one_hot(row, count) for row in numbers[1:]])
    entropy = -np.mean(np.sum(scores * targets, axis=-1))
    penalty = sum(np.sum(softplus(np.square(w)) - np.log(2)) for w in parameters.values())
    return entropy + decay * penalty


def batches(numbers, length, count):
    """(length, count) pieces of a text, next to each other."""
    starts = np.arange(count) * 3
    return np.array([numbers[s : s + length] for s in starts]).T


def example():
    numbers, vocabulary = encode(TEXT)
    return initialise(vocabulary, 4), batches(numbers, 7, 3)
