"""Finds the nodes of the network in an exported graph, whose precision may be lower than float32."""

WEIGHTED = ("Conv", "ConvTranspose", "MatMul", "Gemm")
# Each is element-wise, takes a maximum or rearranges; sums over an image would overflow.
FOLLOWERS = (
    *("Relu", "LeakyRelu", "PRelu", "Elu", "Selu", "Clip", "Sigmoid", "HardSigmoid", "HardSwish", "Tanh"),
    *("Add", "Sub", "Mul", "Concat", "MaxPool", "Pad", "Tile", "Identity", "Dropout"),
    *("Transpose", "Reshape", "Squeeze", "Unsqueeze", "Slice", "Split", "DepthToSpace", "SpaceToDepth"),
)
NEEDS_LAYERS = "needs a segmenter with weights before its last layer. Received: one without"
_FEATURES_ALONE = ("Concat", "Add", "Sub", "Mul", "PRelu")


def network_nodes(graph):
    """The weighted operations except the last ones, which give the logits, and the operations between them.

    Left out are the normalization of the image, sizes, positions and products of every resizing, the CRF
    and the softmax: a position above 2048 or a probability below 6e-8 is not representable in float16, nor in
    int8.

    Args:
        graph: `onnx.GraphProto`, its nodes in the order in which they run.

    Returns:
        Set of indices into `graph.node`.
    """
    constants = {tensor.name for tensor in graph.initializer}
    weighted = [node.op_type in WEIGHTED and constants.issuperset(node.input[1:2]) for node in graph.node]
    before_weights = _nodes_before(graph, weighted)
    found, made = set(), set()
    for index, node in enumerate(graph.node):
        inputs = node.input if node.op_type in _FEATURES_ALONE else node.input[:1]
        features = [name for name in inputs if name not in constants]
        follows = node.op_type in FOLLOWERS and features and made.issuperset(features)
        if index in before_weights and (weighted[index] or follows):
            found.add(index)
            made.update(node.output)
    return found


def _nodes_before(graph, weighted):
    """Indices of the nodes whose results reach a weighted operation."""
    awaited, found = set(), set()
    for index in range(len(graph.node) - 1, -1, -1):
        node = graph.node[index]
        if awaited.intersection(node.output):
            found.add(index)
        if index in found or weighted[index]:
            awaited.update(node.input)
    return found
