function Test-Ours {
    # Whether an object is the one that we made.
    param($Step, $Object)
    $name = $Step.Mark
    return "$($Object.$name)" -eq $Mark
}

function Get-Place {
    # Where a rule belongs: below ours that come before it, else above ours that come after it; -1 when it stands right.
    param($Step, $Rules)
    $above = -1
    $below = -1
    foreach ($other in $Steps) {
        if ($null -eq $other.Place -or $other.Id -eq $Step.Id) { continue }
        $rule = Select-Named $Rules $other.Name
        if ($null -eq $rule) { continue }
        $priority = [int] $rule.Priority
        if ($other.Place -lt $Step.Place) {
            if ($priority -gt $above) { $above = $priority }
        }
        elseif ($below -eq -1 -or $priority -lt $below) { $below = $priority }
    }
    $own = Select-Named $Rules $Step.Name
    if ($null -eq $own) {
        if ($above -ne -1) { return $above + 1 }
        if ($below -ne -1) { return $below }
        return 0
    }
    $priority = [int] $own.Priority
    if ($above -ne -1 -and $priority -lt $above) { return $above }
    if ($below -ne -1 -and $priority -gt $below) {
        if ($above -ne -1) { return $above + 1 }
        return $below
    }
    return -1
}

function Get-Before {
    # What is told of rules of others that see mail before the redirect rule: they may keep it from being scanned.
    param($Step, $Rules)
    $own = Select-Named $Rules $Step.Name
    if (-not $Step.Redirects -or $null -eq $own) { return '' }
    $ours = @($Steps | ForEach-Object { $_.Name })
    $before = @($Rules | Where-Object { [int] $_.Priority -lt [int] $own.Priority -and $ours -notcontains $_.Name })
    if ($before.Count -eq 0) { return '' }
    return "comes after rules that are not Sluice's: $(@($before | ForEach-Object { $_.Name }) -join ', ')"
}

function Add-Object {
    # Makes a connector or a rule.
    param($Step, $All)
    $with = Get-Wanted $Step $null
    $with['Name'] = $Step.Name
    $with[$Step.Mark] = $Mark
    if ($null -ne $Step.Place) { $with['Priority'] = Get-Place $Step $All }
    return Get-Done (Invoke-Change $Step.Name "New-$($Step.Noun)" $with) 'made'
}

function Edit-Object {
    # Brings a connector or a rule into order.
    param($Step, $Object, $All)
    $told = @(Get-Differing $Object $Step.Properties)
    $ran = $true
    if ($told.Count -gt 0) {
        $with = Get-Wanted $Step $Object
        $with['Identity'] = $Step.Name
        $ran = Invoke-Change $Step.Name "Set-$($Step.Noun)" $with
    }
    if ($null -ne $Step.Place) {
        $place = Get-Place $Step $All
        if ($place -ne -1) {
            $told += 'Priority'
            $ran = Invoke-Change $Step.Name 'Set-TransportRule' @{ Identity = $Step.Name; Priority = $place }
        }
    }
    if ($Step.Kind -eq 'rule' -and "$($Object.State)" -ne 'Enabled') {
        $told += 'State'
        $ran = Invoke-Change $Step.Name 'Enable-TransportRule' @{ Identity = $Step.Name; Confirm = $false }
    }
    $before = Get-Before $Step $All
    if ($told.Count -eq 0) { return New-Told 'unchanged' $before }
    return Get-Done $ran "changed: $($told -join ', ') $before"
}

function Clear-Object {
    # Removes a connector or a rule of ours.
    param($Step, $Object)
    if ($null -eq $Object) { return New-Told 'unchanged' 'not there' }
    if (-not (Test-Ours $Step $Object)) { return New-Told 'unchanged' 'has another comment: not ours' }
    $with = @{ Identity = $Step.Name; Confirm = $false }
    return Get-Done (Invoke-Change $Step.Name "Remove-$($Step.Noun)" $with) 'removed'
}

function Update-Object {
    # Makes, changes or removes a connector or a rule.
    param($Step)
    $all = @(Get-All $Step)
    $object = Select-Named $all $Step.Name
    if ($Step.Absent) { return Clear-Object $Step $object }
    if ($null -eq $object) { return Add-Object $Step $all }
    if (-not (Test-Ours $Step $object)) {
        throw "$($Step.Name) is there, with another comment than '$Mark': rename it or remove it, if it is not needed."
    }
    if (Test-Hasty $Step $object) {
        $why = 'mail goes to the other smart host when all of Exchange knows what comes back from there'
        return New-Told 'waiting' "$($why): run this again in $MinutesToWait minutes"
    }
    return Edit-Object $Step $object $all
}

function Test-Hasty {
    # Whether mail would go to another smart host before all of Exchange has taken over the rules for what comes back.
    param($Step, $Object)
    if ($NoWait -or @(Get-Differing $Object $Step.Properties) -notcontains 'SmartHosts') { return $false }
    foreach ($other in $Steps) {
        if ($other.Kind -ne 'rule' -or $Step.Needs -notcontains $other.Id) { continue }
        $rule = Select-Named @(Get-All $other) $other.Name
        if ($null -ne $rule -and (Get-MinutesSince $rule) -lt $MinutesToWait) { return $true }
    }
    return $false
}

function Test-Settled {
    # Whether mail has gone to the present smart host for so long that all of it comes back from there.
    $step = @($Steps | Where-Object { $_.Id -eq 'outbound' })[0]
    $object = Select-Named @(Get-All $step) $step.Name
    if ($NoWait -or $null -eq $object) { return $true }
    if (@(Get-Differing $object $step.Properties) -contains 'SmartHosts') { return $false }
    return -not ((Get-MinutesSince $object) -lt $MinutesToWait)
}

function Get-Single {
    # The object that is always there.
    param($Step)
    $object = Select-Named @(Get-All $Step) $Step.Name
    if ($null -eq $object) { throw "there is no $($Step.Noun) called $($Step.Name)" }
    return $object
}

function Update-Settings {
    # Changes properties of what is always there.
    param($Step)
    $told = @(Get-Differing (Get-Single $Step) $Step.Properties)
    if ($told.Count -eq 0) { return New-Told 'unchanged' '' }
    $with = Get-Wanted $Step $null
    $with['Identity'] = $Step.Name
    return Get-Done (Invoke-Change $Step.Name "Set-$($Step.Noun)" $with) "changed: $($told -join ', ')"
}

function Update-Validation {
    # Has Exchange try the outbound connector, unless it has, and marks it as tried.
    param($Step)
    $object = Select-Named @(Get-All $Step) $Step.Name
    if ($State['outbound'] -eq 'unchanged' -and "$($object.IsValidated)" -eq 'True') { return New-Told 'unchanged' '' }
    if (-not $Shell.ShouldProcess($Step.Name, 'Validate-OutboundConnector')) { return New-Told 'would' 'validated' }
    $with = @{ Identity = $Step.Name; Recipients = $Step.Properties[0].Value }
    foreach ($task in @(Validate-OutboundConnector @with -ErrorAction Stop)) {
        if ("$($task.IsTaskSuccessful)" -eq 'False') { throw "$($task.TaskName): $($task.TaskDetail)" }
    }
    $with = @{ Identity = $Step.Name; IsValidated = $true; LastValidationTimestamp = (Get-Date).ToUniversalTime() }
    Set-OutboundConnector @with -ErrorAction Stop | Out-Null
    return New-Told 'done' 'validated'
}
