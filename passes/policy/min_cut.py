"""Minimum cut of a flow network (Dinic's algorithm): which of two values every node takes at the least total cost."""

from collections import deque

INFINITE = 1 << 60


class MinCut:
    """Nodes 0 .. count-1. Costs are integers. `cost`: of a node on either side; `differ`: of two nodes on different
    sides."""

    def __init__(self, count: int) -> None:
        self._source, self._sink = count, count + 1
        self._edges: list[list[list[int]]] = [
            [] for _ in range(count + 2)
        ]  # An edge is [to, capacity left, index of the reverse edge].

    def add_node(self) -> int:
        """The number of a new node."""
        self._edges.append([])
        return len(self._edges) - 1

    def cost(self, node: int, first: int, second: int) -> None:
        """What `node` costs on the first side, and on the second."""
        self._edge(node, self._sink, first)
        self._edge(self._source, node, second)

    def differ(self, first: int, second: int, cost: int) -> None:
        """What it costs when `first` is on the first side while `second` is on the second."""
        self._edge(first, second, cost)

    def solve(self) -> set[int]:
        """The nodes on the second side: as few as possible."""
        while True:
            levels = self._levels()
            if levels[self._sink] < 0:
                break
            self._block(levels)
        return self._reaching() - {self._source, self._sink}

    def _edge(self, start: int, end: int, capacity: int) -> None:
        if capacity <= 0:
            return
        self._edges[start].append([end, capacity, len(self._edges[end])])
        self._edges[end].append([start, 0, len(self._edges[start]) - 1])

    def _levels(self) -> list[int]:
        levels = [-1] * len(self._edges)
        levels[self._source] = 0
        queue = deque([self._source])
        while queue:
            node = queue.popleft()
            for to, left, _ in self._edges[node]:
                if left > 0 and levels[to] < 0:
                    levels[to] = levels[node] + 1
                    queue.append(to)
        return levels

    def _block(self, levels: list[int]) -> None:
        """Sends flow along shortest paths until none is left."""
        at = [0] * len(self._edges)
        path: list[tuple[int, int, int]] = []
        while True:
            node = path[-1][0] if path else self._source
            if node == self._sink:
                flow = min(self._edges[start][index][1] for _, start, index in path)
                for end, start, index in path:
                    edge = self._edges[start][index]
                    edge[1] -= flow
                    self._edges[end][edge[2]][1] += flow
                path = []
                continue
            while at[node] < len(self._edges[node]):
                to, left, _ = self._edges[node][at[node]]
                if left > 0 and levels[to] == levels[node] + 1:
                    break
                at[node] += 1
            if at[node] < len(self._edges[node]):
                path.append((to, node, at[node]))
            elif not path:
                return
            else:
                _, start, _ = path.pop()
                at[start] += 1

    def _reaching(self) -> set[int]:
        """Nodes from which the sink can still be reached: the smallest second side."""
        found, queue = {self._sink}, deque([self._sink])
        while queue:
            node = queue.popleft()
            for other, _, index in self._edges[node]:
                if other not in found and self._edges[other][index][1] > 0:
                    found.add(other)
                    queue.append(other)
        return found
