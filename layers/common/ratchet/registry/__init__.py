"""Where a person signs: a judged model becomes a package of the model registry, and an approval is bound to it alone.

The standard library only. Knows neither SageMaker nor Step Functions.
"""
