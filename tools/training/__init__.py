"""Fine-tuning of a quantised network in PyTorch, whose forward pass is the integer arithmetic of `passes/ops.py`
(`octet finetune`; the extra `train`)."""
