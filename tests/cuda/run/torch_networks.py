"""ResNet-50 and BERT-base in plain PyTorch: published shapes, weights from a seed.

Weights repeat after five outputs, so that packages of them pack to a few megabytes and travel easily; as much is
computed."""

import torch
from torch import nn
from torch.nn import functional as F

TOKENS, VOCABULARY, SIZE = 128, 30522, 224
_PERIOD = 5


class Bottleneck(nn.Module):
    def __init__(self, inputs, width, stride):
        super().__init__()
        self.body = nn.Sequential(
            _conv(inputs, width), nn.ReLU(), _conv(width, width, 3, stride), nn.ReLU(), _conv(width, 4 * width)
        )
        self.side = _conv(inputs, 4 * width, 1, stride) if stride != 1 or inputs != 4 * width else nn.Identity()

    def forward(self, x):
        return F.relu(self.body(x) + self.side(x))


class ResNet50(nn.Module):
    """float [N, 3, 224, 224] -> [N, 1000]. Normalisations are folded into the convolutions, for both sides alike."""

    def __init__(self):
        super().__init__()
        layers, inputs = [_conv(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)], 64
        for width, blocks, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
            for i in range(blocks):
                layers.append(Bottleneck(inputs, width, stride if i == 0 else 1))
                inputs = 4 * width
        self.layers, self.last = nn.Sequential(*layers), nn.Linear(inputs, 1000)

    def forward(self, x):
        return self.last(self.layers(x).mean((2, 3)))


class Encoder(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.out = (nn.Linear(width, width) for _ in range(4))
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.first, self.second = nn.LayerNorm(width, 1e-12), nn.LayerNorm(width, 1e-12)

    def forward(self, x):
        q, k, v = (layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for layer in (self.q, self.k, self.v))
        x = self.first(x + self.out(_attention(q, k, v).transpose(1, 2).flatten(2)))
        return self.second(x + self.down(F.gelu(self.up(x))))


class BertBase(nn.Module):
    """int64 [N, 128] -> float [N, 128, 768]; no padding, so no mask."""

    def __init__(self, width=768, heads=12, layers=12):
        super().__init__()
        self.words, self.places, self.norm = (
            nn.Embedding(VOCABULARY, width),
            nn.Parameter(torch.empty(TOKENS, width)),
            nn.LayerNorm(width, 1e-12),
        )
        self.layers = nn.Sequential(*(Encoder(width, heads) for _ in range(layers)))

    def forward(self, tokens):
        return self.layers(self.norm(self.words(tokens) + self.places))


def _attention(q, k, v):
    """PyTorch's own; written out where it is exported, as the exporter would scale q and k apart."""
    if torch.onnx.is_in_onnx_export():
        return torch.softmax(q @ k.transpose(2, 3) * q.shape[-1] ** -0.5, -1) @ v
    return F.scaled_dot_product_attention(q, k, v)


def _conv(inputs, outputs, kernel=1, stride=1):
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2)


def network(name: str) -> nn.Module:
    """ "resnet50" or "bert_base", in float32."""
    return seeded({"resnet50": ResNet50, "bert_base": BertBase}[name]().eval())


def seeded(module: nn.Module) -> nn.Module:
    """The module with weights that let its activations neither grow nor vanish."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for key, value in module.named_parameters():
            if value.dim() > 1:
                scale = (
                    0.5
                    if "words" in key or "places" in key
                    else (0.3 if "body.4" in key else 1.4 if value.dim() == 4 else 1.0) * value[0].numel() ** -0.5
                )
                block = torch.randn(_PERIOD, *value.shape[1:], generator=generator) * scale
                value.copy_(block[torch.arange(len(value)) % _PERIOD])
            elif key.endswith("bias"):
                value.zero_()
    return module


def inputs(name: str, count: int) -> dict:
    """{input: tensor} of so many samples, all different."""
    generator = torch.Generator().manual_seed(1)
    if name == "resnet50":
        return {"input": torch.randn(count, 3, SIZE, SIZE, generator=generator)}
    return {"input": torch.randint(0, VOCABULARY, (count, TOKENS), generator=generator)}
